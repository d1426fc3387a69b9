from __future__ import annotations

import json
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
from modules.ui.scripts import ScriptPanel

INFOTEXT = (
    "oil painting of a fox\nNegative prompt: photo\nSteps: 9, Sampler: Euler a, CFG scale: 5.5, "
    "Seed: 12, Size: 64x96, Model: tiny, Clip skip: 2, Denoising strength: 0.4, "
    "Hires upscale: 1.5, Hires upscaler: Lanczos, Colour: blue, Version: v1.10.1"
)


@pytest.fixture
def paste(app: App) -> Paste:
    return in_event_loop(lambda: build(app))


def build(app: App) -> Paste:
    form = Form(Txt2ImgParams, "txt2img", app)
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
        "prompt": "a fox", "negative_prompt": "", "styles": ["Oil"], "steps": 9, "seed": "12",
        "sampler_name": "Euler a", "cfg_scale": 5.5, "width": 64, "height": 96,
        "enable_hr": True, "denoising_strength": 0.4, "hr_upscaler": "Lanczos",
    }  # fmt: skip
    assert {name: values[name] for name in wanted} == wanted
    assert values[""] == ["Model: tiny.safetensors", "Clip skip: 2"]
    assert "Colour" in capsys.readouterr().out


def test_script_of_an_infotext_is_handed_to_the_page(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    def make() -> tuple[Paste, ScriptPanel]:
        form, panel = Form(Txt2ImgParams, "txt2img", app), ScriptPanel(app.scripts, "txt2img")
        with gr.Blocks(analytics_enabled=False):
            for name in list(form.parameters):
                form.field(name)
            panel.build()
            return Paste(app, form, gr.Dropdown([], multiselect=True), panel), panel

    paste, panel = in_event_loop(make)
    text = INFOTEXT.replace("Colour: blue", "Script: Two seeds, Seeds apart: 9, Colour: blue")
    word = json.loads(paste.read(text)[panel.pasted]["value"])
    assert (word["script"], list(word["values"].values())) == ("Two seeds", [9])
    told = capsys.readouterr().out
    assert "Colour" in told and "Seeds apart" not in told and "Script" not in told
    for other in (INFOTEXT, "no infotext"):
        assert paste.read(other)[panel.pasted]["value"] == ""
    app.settings.update({"infotext_skip_pasting": ["Script"]})
    assert paste.read(text)[panel.pasted]["value"] == ""


def test_missing_model_and_vae_are_told_and_change_nothing(paste: Paste) -> None:
    text = INFOTEXT.replace("Model: tiny", "Model hash: 123, Model: nowhere, VAE: lost.pt")
    with pytest.warns(UserWarning, match="Model “nowhere”, VAE “lost.pt”"):
        values = shown(paste, text)
    chips = ["Model: nowhere (missing)", "VAE: lost.pt (missing)", "Clip skip: 2"]
    assert values[""] == chips
    assert read_chips(chips) == {"CLIP_stop_at_last_layers": "2"}


def test_vae_that_is_here_becomes_a_chip(paste: Paste, app: App) -> None:
    folder = app.paths.data / "models" / "Stable-diffusion"
    (folder / "soft.vae.safetensors").touch()
    app.models.vaes.refresh()
    values = shown(paste, INFOTEXT.replace("Model: tiny", "Model: tiny, VAE: soft.vae"))
    assert values[""] == [
        "Model: tiny.safetensors", "VAE: soft.vae.safetensors", "Clip skip: 2",
    ]  # fmt: skip


def test_checkpoint_that_would_be_used_anyway_is_no_chip(paste: Paste, app: App) -> None:
    assert "Model: other.safetensors" not in shown(paste, INFOTEXT.replace("tiny", "other"))[""]
    app.settings.update({"sd_model_checkpoint": "tiny.safetensors"})
    assert shown(paste, INFOTEXT)[""] == ["Clip skip: 2"]


def test_chips_are_what_differs_from_the_settings_now(paste: Paste, app: App) -> None:
    app.settings.update({"CLIP_stop_at_last_layers": 2, "randn_source": "NV"})
    assert shown(paste, INFOTEXT)[""] == ["Model: tiny.safetensors", "RNG: GPU"]


@pytest.mark.parametrize(
    ("mode", "with_style", "without_style"),
    [
        ("Apply if any", ("a fox", ["Oil"]), ("a fox", None)),
        ("Apply", ("a fox", ["Oil"]), ("a fox", [])),
        ("Discard", ("a fox", None), ("a fox", None)),
        ("Ignore", ("oil painting of a fox", None), ("a fox", None)),
    ],
)
def test_styles_in_the_prompt_are_treated_as_the_setting_says(
    paste: Paste, app: App, mode: str, with_style: Any, without_style: Any
) -> None:
    app.settings.update({"infotext_styles": mode})
    values = shown(paste, INFOTEXT)
    assert (values["prompt"], values.get("styles")) == with_style
    values = shown(paste, INFOTEXT.replace("oil painting of ", ""))
    assert (values["prompt"], values.get("styles")) == without_style


def test_names_that_are_skipped_stay_as_they_are(paste: Paste, app: App) -> None:
    app.settings.update({"infotext_skip_pasting": ["Seed", "Clip skip"]})
    values = shown(paste, INFOTEXT)
    assert "seed" not in values
    assert values[""] == ["Model: tiny.safetensors"]


def test_names_of_another_program_become_the_menus(
    paste: Paste, capsys: pytest.CaptureFixture[str]
) -> None:
    text = INFOTEXT.replace("Euler a", "k_dpmpp_2m, Schedule type: karras")
    values = shown(paste, text.replace("Lanczos", "4x-UltraSharp"))
    assert (values["sampler_name"], values["scheduler"]) == ("DPM++ 2M", "Karras")
    assert "hr_upscaler" not in values
    assert "Upscaler: 4x-UltraSharp" in capsys.readouterr().out


def test_parameter_without_a_field_is_told(
    paste: Paste, capsys: pytest.CaptureFixture[str]
) -> None:
    shown(paste, INFOTEXT.replace("Colour: blue", "Refiner: other, Refiner switch at: 0.8"))
    said = capsys.readouterr().out
    fields = paste._form.fields
    assert ("Refiner checkpoint: other" in said) is ("refiner_checkpoint" not in fields)
    assert ("Refiner switch at: 0.8" in said) is ("refiner_switch_at" not in fields)


def test_old_text_is_explained(paste: Paste, capsys: pytest.CaptureFixture[str]) -> None:
    text = INFOTEXT.replace("Euler a", "DPM++ 2M").replace("v1.10.1", "v1.8.0")
    assert shown(paste, text)["scheduler"] == "Uniform"
    assert "1.8.0 had schedule Uniform" in capsys.readouterr().out


def dropped(paste: Paste, **reply: Any) -> dict[str, Any]:
    names = {component: name for name, component in paste._form.fields.items()}
    changes = paste.read_picture(json.dumps(reply))
    return {names.get(c, ""): change.get("value") for c, change in changes.items()}


def test_dropped_picture_fills_the_form_and_says_what_is_lost(
    paste: Paste, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = 2**64 - 1
    text = INFOTEXT.replace("Seed: 12", f"Seed: {seed}")
    values = dropped(paste, infotext=text, program="ComfyUI", not_mapped=["FreeU"], name="fox.png")
    assert values["seed"] == str(seed)
    said = capsys.readouterr().out
    assert "fox.png made with ComfyUI" in said
    assert "FreeU, Colour" in said


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({"infotext": "", "name": "a.png"}, "a.png holds no parameters"),
        ({"infotext": "just words", "name": "a.png"}, "a.png holds no parameters"),
        ({"error": "a.txt is no picture."}, "a.txt is no picture"),
    ],
)
def test_picture_without_parameters_changes_nothing(
    paste: Paste, reply: dict[str, Any], said: str
) -> None:
    with pytest.warns(UserWarning, match=said):
        assert dropped(paste, **reply) == {"": None}


def test_empty_prompt_takes_the_last_pictures_parameters(paste: Paste, run_job: Any) -> None:
    run_job(prompt="first")
    run_job(prompt="second", n_iter=2)
    values = shown(paste, "")
    assert (values["prompt"], values["seed"]) == ("second", "8")


def test_empty_prompt_takes_those_of_an_earlier_run(paste: Paste, app: App) -> None:
    (app.paths.data / "params.txt").write_text(INFOTEXT, encoding="utf-8")
    assert shown(paste, " ")["seed"] == "12"


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
