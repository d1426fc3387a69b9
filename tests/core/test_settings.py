from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from modules.core.errors import BadInput, Busy, NotFound, OutOfSpace
from modules.core.settings import Settings, known_settings
from modules.core.settings_file import change_values
from modules.core.settings_table import SETTINGS


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.key)
def test_every_setting_accepts_its_default(row: Any) -> None:
    settings = Settings(None)
    assert settings.view().with_overrides({row.key: row.default})[row.key] == row.default


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.key)
def test_every_setting_refuses_a_value_of_another_kind(row: Any) -> None:
    with pytest.raises(BadInput, match=row.key):
        Settings(None).view().with_overrides({row.key: {"not": "a value"}})


def test_defaults_are_those_of_a1111_but_for_the_stricter_ones() -> None:
    kept = Path("modules/core/a1111_settings.json")
    theirs = json.loads((Path(__file__).parents[2] / kept).read_text(encoding="utf-8"))
    differing = {r.key for r in SETTINGS if r.key in theirs and theirs[r.key] != r.default}
    assert differing == {"api_enable_requests"}


def test_update_keeps_unknown_keys_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"some_extension_key": [1, 2], "eta_ddim": 0.5}')
    settings = Settings(file)
    assert settings.view()["eta_ddim"] == 0.5
    settings.update({"n_rows": 2})
    assert json.loads(file.read_text()) == {
        "some_extension_key": [1, 2],
        "eta_ddim": 0.5,
        "n_rows": 2,
    }


def test_update_writes_only_what_differs_from_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    settings = Settings(file)
    assert settings.update({"n_rows": 3, "eta_ddim": 0.0}) == {"n_rows"}
    assert json.loads(file.read_text()) == {"n_rows": 3}
    settings.update({"n_rows": -1})
    assert json.loads(file.read_text()) == {}


def test_update_applies_all_or_nothing(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "config.json")
    with pytest.raises(NotFound, match="eta_ddmi.*did you mean 'eta_ddim'"):
        settings.update({"n_rows": 3, "eta_ddmi": 1})
    with pytest.raises(BadInput, match="n_rows.*-1 to 16"):
        settings.update({"eta_ddim": 0.5, "n_rows": 99})
    assert settings.view().changed() == {}
    assert not (tmp_path / "config.json").exists()


def test_all_settings_can_be_sent_back_as_they_were_read() -> None:
    settings = Settings(None)
    assert settings.update(dict(settings.view())) == set()
    assert set(settings.view()) == set(known_settings())


def test_view_does_not_change_when_settings_do() -> None:
    settings = Settings(None)
    view = settings.view()
    settings.update({"eta_ddim": 1.0})
    assert view["eta_ddim"] == 0.0
    assert settings.view()["eta_ddim"] == 1.0


def test_overrides_touch_only_their_view() -> None:
    settings = Settings(None)
    view = settings.view().with_overrides({"CLIP_stop_at_last_layers": 2})
    assert view["CLIP_stop_at_last_layers"] == 2
    assert view.changed() == {"CLIP_stop_at_last_layers": 2}
    assert settings.view()["CLIP_stop_at_last_layers"] == 1


def test_unreadable_file_is_kept_and_defaults_are_used(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("{ not json")
    assert Settings(file).view().changed() == {}
    assert (tmp_path / "config.unreadable.json").read_text() == "{ not json"


def test_file_that_cannot_be_written_leaves_the_settings_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file where a folder is needed")
    settings = Settings(None)
    settings._file = tmp_path / "folder" / "config.json"
    with pytest.raises(OutOfSpace, match="config.json cannot be written"):
        settings.update({"n_rows": 1})
    assert settings.view()["n_rows"] == -1


def test_concurrent_updates_lose_nothing(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "config.json")
    keys = ["eta_ddim", "skip_early_cond", "beta_dist_alpha", "beta_dist_beta"]
    threads = [threading.Thread(target=settings.update, args=({key: 0.3},)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads((tmp_path / "config.json").read_text()) == dict.fromkeys(keys, 0.3)


def test_two_programs_on_one_file_keep_what_the_other_changed(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"n_rows": 2, "s_churn": "much"}')
    one, other = Settings(file), Settings(file)
    one.update({"eta_ddim": 0.5, "n_rows": 3})
    other.update({"skip_early_cond": 0.25})
    assert json.loads(file.read_text()) == {
        "n_rows": 3, "eta_ddim": 0.5, "skip_early_cond": 0.25, "s_churn": "much",
    }  # fmt: skip
    assert other.view()["n_rows"] == 2, "what another program wants holds from the next start on"
    other.update({"n_rows": -1})
    one.update({"s_churn": 0.0, "img_max_size_mp": 100})
    assert json.loads(file.read_text()) == {
        "eta_ddim": 0.5, "skip_early_cond": 0.25, "img_max_size_mp": 100,
    }  # fmt: skip


def test_a_value_is_stored_though_another_program_wrote_its_default(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    one, other = Settings(file), Settings(file)
    one.update({"jpeg_quality": 60})
    other.update({"jpeg_quality": 61})
    other.update({"jpeg_quality": 80})
    assert json.loads(file.read_text()) == {}
    assert one.update({"jpeg_quality": 60}) == set(), "it had this value here all the time"
    assert json.loads(file.read_text()) == {"jpeg_quality": 60}
    assert Settings(file).view()["jpeg_quality"] == 60


def test_file_that_holds_all_already_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    Settings(file).update({"eta_ddim": 0.0})
    assert not file.exists(), "defaults make no file"
    file.write_text('{"n_rows":2}')
    Settings(file).update({"n_rows": 2, "eta_ddim": 0.0})
    assert file.read_text() == '{"n_rows":2}'


@pytest.mark.parametrize("text", [None, '{"n_rows": 2, "eta', "", "[2]", "null"])
def test_file_that_was_lost_meanwhile_is_written_whole(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"n_rows": 2, "some_extension_key": 1, "s_churn": "much"}')
    settings = Settings(file)
    file.unlink()
    if text is not None:
        file.write_text(text)
    settings.update({"eta_ddim": 0.5})
    assert json.loads(file.read_text()) == {
        "n_rows": 2, "some_extension_key": 1, "s_churn": "much", "eta_ddim": 0.5,
    }  # fmt: skip
    aside = tmp_path / "config.unreadable.json"
    assert (aside.read_text() if aside.exists() else None) == text


def test_file_that_holds_no_object_is_kept_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("[2]")
    assert Settings(file).view().changed() == {}
    assert (tmp_path / "config.unreadable.json").read_text() == "[2]" and not file.exists()


WRITER = """
import sys
from pathlib import Path
from modules.core.settings_file import change_values
sys.stdin.readline()
for number in range(40):
    change_values(Path(sys.argv[1]), {f"{sys.argv[2]} {number}": number}, otherwise={})
"""


def test_programs_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    file, names = tmp_path / "config.json", ("a", "b", "c")
    programs = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(file), name],
                         cwd=Path(__file__).parents[2], stdin=subprocess.PIPE)
        for name in names
    ]  # fmt: skip
    for program in programs:
        assert program.stdin
        program.stdin.write(b"go\n")
        program.stdin.close()
    assert [program.wait(60) for program in programs] == [0, 0, 0]
    assert json.loads(file.read_text()) == {f"{one} {n}": n for one in names for n in range(40)}


def test_file_that_stays_locked_is_said(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    with FileLock(tmp_path / "config.json.lock"), pytest.raises(Busy, match="keeps it locked"):
        change_values(file, {"n_rows": 1}, otherwise={}, lock_s=0.05)
    assert not file.exists()


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.key)
def test_setting_is_documented(row: Any) -> None:
    page = (Path(__file__).parents[2] / "docs/settings.md").read_text(encoding="utf-8")
    assert f"| `{row.key}` |" in page


def test_bad_value_in_the_file_is_replaced_by_the_default_and_kept_there(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"show_progress_every_n_steps": "often", "n_rows": 2}')
    settings = Settings(file)
    assert settings.view()["show_progress_every_n_steps"] == 10
    assert settings.view()["n_rows"] == 2
    settings.update({"eta_ddim": 0.5})
    kept = json.loads(file.read_text())
    assert kept == {"show_progress_every_n_steps": "often", "n_rows": 2, "eta_ddim": 0.5}
    settings.update({"show_progress_every_n_steps": 5})
    assert json.loads(file.read_text())["show_progress_every_n_steps"] == 5


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.key)
def test_setting_is_read_by_someone(row: Any) -> None:
    root = Path(__file__).parents[2]
    kinds = ("modules/**/*.py", "modules/**/*.js", "extensions/easel-*/**/*.py")
    files = [file for kind in kinds for file in root.glob(kind)]
    readers = [
        f for f in files if f.name != "settings_table.py" and row.key in f.read_text("utf-8")
    ]
    assert readers or "nothing does yet" in row.label or row.restricted


@pytest.mark.parametrize("text", ["/tmp/\0a", "a\x1b[2J", "\x7f", "\x85"])
@pytest.mark.parametrize("key", ["outdir_samples", "font", "sd_model_checkpoint"])
def test_control_characters_are_refused(key: str, text: str) -> None:
    with pytest.raises(BadInput, match=f"{key}: .*control characters"):
        Settings(None).view().with_overrides({key: text})


def test_control_characters_are_refused_in_lists_too() -> None:
    with pytest.raises(BadInput, match="infotext_skip_pasting"):
        Settings(None).view().with_overrides({"infotext_skip_pasting": ["Seed", "a\0"]})


def test_lines_and_tabs_are_texts() -> None:
    wanted = {"extra_networks_add_text_separator": ",\r\n\t"}
    assert Settings(None).view().with_overrides(wanted).changed() == wanted


def test_models_cannot_lie_idle_longer_than_a_thread_can_wait() -> None:
    longest = 525_600
    view = Settings(None).view()
    assert view.with_overrides({"unload_idle_models_min": longest})["unload_idle_models_min"] > 0
    assert longest * 60 < threading.TIMEOUT_MAX
    with pytest.raises(BadInput, match="unload_idle_models_min"):
        view.with_overrides({"unload_idle_models_min": 1e12})
