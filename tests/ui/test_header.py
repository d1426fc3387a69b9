from __future__ import annotations

import json
import struct
from pathlib import Path

import gradio as gr
import pytest

from modules.core.app import App
from modules.model_manager import Catalogue, Hashes, ModelChoice
from modules.ui.events import in_event_loop
from modules.ui.header import Header
from modules.ui.native_size import DEFAULT_SIZE, native_size


def write_header(path: Path, names: tuple[str, ...], metadata: dict[str, str]) -> Path:
    """A safetensors file with one number per tensor."""
    rows = {
        name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]}
        for i, name in enumerate(names)
    }
    header = json.dumps({"__metadata__": metadata, **rows}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4 * len(names)))
    return path


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


def test_page_state_names_the_settings_that_the_scripts_follow(header: Header, app: App) -> None:
    app.settings.update({"keyedit_precision_attention": 0.2})
    assert json.loads(header.page_state())["settings"]["keyedit_precision_attention"] == 0.2


@pytest.mark.parametrize(
    ("names", "metadata", "size"),
    [
        (("a",), {"modelspec.resolution": "128x128"}, 128),
        (("a",), {"modelspec.resolution": "1024x512"}, 512),
        (("a",), {}, 512),
        (("cond_stage_model.model.ln_final.weight",), {}, 768),
        (("conditioner.embedders.1.model.ln_final.weight",), {}, 1024),
        (("conditioner.embedders.1.x",), {"modelspec.resolution": "odd"}, 1024),
    ],
)
def test_native_size_of_a_file(
    tmp_path: Path, names: tuple[str, ...], metadata: dict[str, str], size: int
) -> None:
    assert native_size(write_header(tmp_path / "m.safetensors", names, metadata)) == size


def test_native_size_of_a_diffusers_folder(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text('{"sample_size": 96}', encoding="utf-8")
    assert native_size(tmp_path) == 768


@pytest.mark.parametrize("name", ["broken.safetensors", "missing.safetensors", "old.ckpt", "."])
def test_native_size_of_what_cannot_be_read_is_the_usual_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"not a model")
    assert native_size(tmp_path / name) == DEFAULT_SIZE


def test_menu_follows_when_the_chosen_file_is_gone(app: App, header: Header) -> None:
    header.choose("other.safetensors")
    (app.paths.checkpoints[0] / "other.safetensors").unlink()
    menu, _, _ = header.refresh()
    assert menu["value"] == "tiny.safetensors"
