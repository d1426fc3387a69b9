from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from modules.core.app import App
from modules.core.errors import BadInput
from modules.params import Txt2ImgParams
from modules.ui.events import in_event_loop
from modules.ui.form import Form
from modules.ui.overrides import read_chips, write_chips
from modules.ui.paste import Paste

INFOTEXT = (
    "oil painting of a fox\nNegative prompt: photo\nSteps: 9, Sampler: Euler a, CFG scale: 5.5, "
    "Seed: 12, Size: 64x96, Model: tiny, Clip skip: 2, Denoising strength: 0.4, "
    "Hires upscale: 1.5, Hires upscaler: Lanczos, Colour: blue, Version: v1.10.1"
)


@pytest.fixture
def paste(app: App) -> Paste:
    return in_event_loop(lambda: build(app))


def build(app: App) -> Paste:
    form = Form(Txt2ImgParams, "txt2img", app.styles)
    with gr.Blocks(analytics_enabled=False):
        for name in list(form.parameters):
            form.field(name)
        return Paste(app, form, gr.Dropdown([], multiselect=True))


def shown(paste: Paste, text: str) -> dict[str, Any]:
    """Values by parameter name after a press of the button; "" holds the chips."""
    names = {component: name for name, component in paste._form.fields.items()}
    return {names.get(c, ""): change.get("value") for c, change in paste.read(text).items()}


def test_infotext_in_the_prompt_fills_the_form(
    paste: Paste, capsys: pytest.CaptureFixture[str]
) -> None:
    values = shown(paste, INFOTEXT)
    wanted = {
        "prompt": "a fox", "negative_prompt": "", "styles": ["Oil"], "steps": 9, "seed": 12,
        "sampler_name": "Euler a", "cfg_scale": 5.5, "width": 64, "height": 96,
        "enable_hr": True, "denoising_strength": 0.4, "hr_upscaler": "Lanczos",
    }  # fmt: skip
    assert {name: values[name] for name in wanted} == wanted
    assert values[""] == ["Model: tiny.safetensors", "Clip skip: 2"]
    assert "Colour" in capsys.readouterr().out


def test_missing_model_is_told_and_not_asked_for(paste: Paste) -> None:
    with pytest.warns(UserWarning, match="nowhere"):
        values = shown(paste, INFOTEXT.replace("Model: tiny", "Model: nowhere"))
    assert values[""] == ["Clip skip: 2"]


def test_empty_prompt_takes_the_last_pictures_parameters(paste: Paste, run_job: Any) -> None:
    run_job(prompt="first")
    run_job(prompt="second", n_iter=2)
    values = shown(paste, "")
    assert (values["prompt"], values["seed"]) == ("second", 8)


def test_empty_prompt_takes_those_of_an_earlier_run(paste: Paste, app: App) -> None:
    (app.paths.data / "params.txt").write_text(INFOTEXT, encoding="utf-8")
    assert shown(paste, " ")["seed"] == 12


@pytest.mark.parametrize("text", ["", "just a fox, steps: many"])
def test_nothing_changes_without_parameters(
    paste: Paste, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(paste, text) == {"": None}
    assert "parameters" in capsys.readouterr().out


def test_chips_come_back_as_settings() -> None:
    overrides = {"CLIP_stop_at_last_layers": 2, "sgm_noise_multiplier": True, "randn_source": "NV"}
    chips = write_chips(overrides, {})
    assert chips == ["Clip skip: 2", "SGM noise multiplier: True", "RNG: NV"]
    assert read_chips(chips) == {**overrides, "CLIP_stop_at_last_layers": "2"}


def test_chip_without_known_name_is_refused() -> None:
    with pytest.raises(BadInput, match="Colour: blue"):
        read_chips(["Colour: blue"])
