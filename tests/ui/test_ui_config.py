from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from modules.core.app import App
from modules.params import Txt2ImgParams
from modules.params.face import Slider
from modules.ui.events import in_event_loop
from modules.ui.form import Form
from modules.ui.img2img_form import Img2ImgForm

BAD = (
    ("txt2img/Sampling steps/value", 0),
    ("txt2img/Sampling steps/value", 151),
    ("txt2img/Sampling steps/value", "many"),
    ("txt2img/Sampling steps/minimum", 200),
    ("txt2img/Sampling steps/step", 0),
    ("txt2img/Sampling steps/maximum", True),
    ("txt2img/Sampling method/value", "Eular"),
    ("txt2img/Hires. fix/value", 1),
    ("txt2img/Width/visible", "no"),
    ("txt2img/Seed/value", -2),
    ("txt2img/Styles/value", ["Nobody"]),
)


def made(app: App, file: Path, model: Any = Txt2ImgParams, tab: str = "txt2img") -> Form:
    """The form with all its fields, as the file wants it."""
    form = Form(model, tab, replace(app, paths=replace(app.paths, ui_defaults_file=file)))

    def build() -> None:
        with gr.Blocks(analytics_enabled=False):
            for name in form.parameters:
                form.field(name)

    in_event_loop(build)
    return form


def written(folder: Path, entries: object) -> Path:
    file = folder / "ui-config.json"
    file.write_text(json.dumps(entries), encoding="utf-8")
    return file


def test_values_and_ranges_are_those_of_the_file(app: App, tmp_path: Path) -> None:
    entries = {
        "txt2img/Sampling steps/value": 30,
        "txt2img/Sampling steps/maximum": 60,
        "txt2img/CFG Scale/step": 0.25,
        "txt2img/Sampling method/value": "Euler",
        "txt2img/Hires. fix/value": True,
        "txt2img/Prompt/value": "a fox",
        "txt2img/Styles/value": ["Oil"],
        "txt2img/Seed/visible": False,
        "customscript/xyz.py/txt2img/Margins/value": 2,
    }
    file = written(tmp_path, entries)
    before = file.read_bytes()
    form = made(app, file)
    steps = form.fields["steps"]
    assert (steps.value, steps.maximum) == (30, 60)
    assert form.fields["cfg_scale"].step == 0.25
    assert form.fields["sampler_name"].value == "Euler"
    assert form.fields["enable_hr"].value is True
    assert form.fields["prompt"].value == "a fox"
    assert form.fields["styles"].value == ["Oil"]
    assert form.fields["seed"].visible == "hidden"
    assert file.read_bytes() == before


def test_emptied_field_means_the_users_default(app: App, tmp_path: Path) -> None:
    form = made(app, written(tmp_path, {"txt2img/Sampling steps/value": 30}))
    values = {component: component.value for component in form.fields.values()}
    assert form.read(values | {form.fields["steps"]: None})["steps"] == 30


def test_page_knows_which_size_the_user_chose(app: App, tmp_path: Path) -> None:
    entries = {"txt2img/Width/value": 640, "txt2img/Height/value": 512}
    rows = {row["name"]: row for row in made(app, written(tmp_path, entries)).describe()}
    assert rows["width"]["chosen"] is True
    assert rows["height"]["chosen"] is False  # as A1111 writes it where nobody chose


def test_choice_of_a_radio_goes_by_its_label(app: App, tmp_path: Path) -> None:
    entries = {
        "img2img/Resize mode/value": "Crop and resize",
        "img2img/Denoising strength/value": 0.5,
    }
    form = made(app, written(tmp_path, entries), Img2ImgForm, "img2img")
    assert form.fields["resize_mode"].value == 1
    assert form.fields["denoising_strength"].value == 0.5


@pytest.mark.parametrize(("key", "value"), BAD)
def test_bad_entry_is_told_and_changes_nothing(
    app: App, tmp_path: Path, key: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    plain = made(app, tmp_path / "none.json")
    with caplog.at_level(logging.WARNING):
        form = made(app, written(tmp_path, {key: value}))
    assert key in caplog.text
    for name, parameter in form.parameters.items():
        assert parameter == plain.parameters[name]
    assert isinstance(form.parameters["steps"].face.widget, Slider)


@pytest.mark.parametrize("text", ["{", "[1]", "\x00"])
def test_unreadable_file_is_told(
    app: App, tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "ui-config.json"
    file.write_text(text, encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert made(app, file).fields["steps"].value == 20
    assert "ui-config.json cannot be read" in caplog.text
