from __future__ import annotations

import json
from pathlib import Path

import gradio as gr
import pytest

from modules.core.app import App
from modules.model_manager import Catalogue, Hashes, ModelChoice
from modules.model_manager.native_size import DEFAULT_SIZE
from modules.ui.events import in_event_loop
from modules.ui.header import Header


@pytest.fixture
def header(app: App) -> Header:
    return in_event_loop(lambda: build(app))


def build(app: App) -> Header:
    made = Header(app)
    with gr.Blocks(analytics_enabled=False):
        made.build()
    return made


def test_menu_shows_the_checkpoint_that_a_job_would_use(header: Header) -> None:
    assert header.checkpoint.value == "other.safetensors"
    assert [title for title, _ in header.checkpoint.choices] == [
        "other.safetensors",
        "tiny.safetensors",
    ]


def test_choice_becomes_the_setting_and_is_loaded(header: Header, app: App) -> None:
    menu, _, _ = header.choose("tiny.safetensors")
    assert menu["value"] == "tiny.safetensors"
    assert app.settings.view()["sd_model_checkpoint"] == "tiny.safetensors"
    assert app.models.preloaded == [ModelChoice("tiny.safetensors")]


def test_checkpoint_that_cannot_be_loaded_changes_nothing(header: Header, app: App) -> None:
    header.choose("tiny.safetensors")
    (app.paths.checkpoints[0] / "bad.safetensors").write_bytes(b"nothing")
    header.refresh()
    with pytest.warns(UserWarning, match=r"bad\.safetensors: is not a safetensors file"):
        menu, _, _ = header.choose("bad.safetensors")
    assert menu["value"] == "tiny.safetensors"
    assert app.settings.view()["sd_model_checkpoint"] == "tiny.safetensors"


def test_choice_whose_load_fails_later_is_taken_back(header: Header, app: App) -> None:
    header.choose("tiny.safetensors")
    header.choose("other.safetensors")
    fail = app.models.failed
    fail()
    assert app.settings.view()["sd_model_checkpoint"] == "tiny.safetensors"
    app.settings.update({"sd_model_checkpoint": "else"})
    fail()
    assert app.settings.view()["sd_model_checkpoint"] == "else"


def test_checkpoint_that_went_away_is_told(header: Header, app: App) -> None:
    with pytest.warns(UserWarning, match="Unknown checkpoint 'gone"):
        menu, _, _ = header.choose("gone.safetensors")
    assert menu["value"] == "other.safetensors"


def test_refresh_finds_new_files(header: Header, app: App) -> None:
    (app.paths.checkpoints[0] / "new.safetensors").touch()
    menu, _, _ = header.refresh()
    assert "new.safetensors" in menu["choices"]


def test_page_without_any_model_says_how_to_get_one(app: App, tmp_path: Path) -> None:
    app.models.catalogue = Catalogue([], Hashes(tmp_path / "none.json", enabled=False))
    header = in_event_loop(lambda: build(app))
    menu, notice, state = header.load()
    assert (menu["choices"], menu["value"]) == ([], None)
    assert "no model yet" in notice["value"]
    assert str(app.paths.checkpoints[0]) in notice["value"]
    assert json.loads(state)["native_size"] == DEFAULT_SIZE


def test_notice_is_empty_where_there_is_a_model(header: Header) -> None:
    assert header.load()[1]["value"] == ""


def test_notice_offers_what_suits_a_distilled_model(header: Header, app: App) -> None:
    folder = app.paths.checkpoints[0]
    (folder / "sd_xl_turbo.safetensors").write_bytes((folder / "tiny.safetensors").read_bytes())
    header.refresh()
    _, notice, _ = header.choose("sd_xl_turbo.safetensors")
    assert "Turbo model: 4 steps and CFG scale 1" in notice["value"]


def test_page_state_names_the_settings_that_the_scripts_follow(header: Header, app: App) -> None:
    app.settings.update({"keyedit_precision_attention": 0.2})
    assert json.loads(header.page_state())["settings"]["keyedit_precision_attention"] == 0.2


def test_menu_follows_when_the_chosen_file_is_gone(app: App, header: Header) -> None:
    header.choose("other.safetensors")
    (app.paths.checkpoints[0] / "other.safetensors").unlink()
    menu, _, _ = header.refresh()
    assert menu["value"] == "tiny.safetensors"
