"""Infotexts of older A1111s and of its relatives."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

from modules.params import dialects
from modules.params.img2img import Img2ImgParams
from modules.params.infotext_read import CHECKPOINT, VAE, read_infotext

LINE = "Steps: 20, CFG scale: 7, Seed: 1, Size: 512x768"


def params_of(line: str, **options: Any) -> dict[str, Any]:
    return read_infotext(f"a cat\n{line}", **options).params


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(dialects).failed == 0


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ("DPM++ 2M Karras", ("DPM++ 2M", "Karras")),
        ("DPM++ 2M SDE Exponential", ("DPM++ 2M SDE", "Exponential")),
        ("DPM++ 2M SGMUniform", ("DPM++ 2M", "SGM Uniform")),
        ("LMS Karras", ("LMS", "Karras")),
        ("DPM++ SDE", ("DPM++ SDE", "Automatic")),
        ("Euler a", ("Euler a", "Automatic")),
    ],
)
def test_sampler_with_schedule_in_its_name_is_split(
    sampler: str, expected: tuple[str, str]
) -> None:
    params = params_of(f"{LINE}, Sampler: {sampler}, Hires sampler: {sampler}")
    assert (params["sampler_name"], params["scheduler"]) == expected
    schedule = "Use same scheduler" if expected[1] == "Automatic" else expected[1]
    assert (params["hr_sampler_name"], params["hr_scheduler"]) == (expected[0], schedule)


@pytest.mark.parametrize(
    ("version", "sampler", "schedule"),
    [
        ("v1.8.0", "DPM++ 2M", "Uniform"),
        ("f0.0.17v1.8.0rc-latest-276-g29be1da7", "DPM++ 2M SDE", "Uniform"),
        ("v1.8.0", "DPM++ 2M Karras", "Karras"),
        ("v1.8.0", "Euler", "Automatic"),
        ("v1.8.0", "Restart", "Automatic"),
        ("v1.9.0", "DPM++ 2M", "Automatic"),
        ("1d6b2c3", "DPM++ 2M", "Automatic"),
    ],
)
def test_plain_sampler_had_no_schedule_of_its_own_before_1_9(
    version: str, sampler: str, schedule: str
) -> None:
    line = f"{LINE}, Sampler: {sampler}, Version: {version}"
    assert params_of(line)["scheduler"] == schedule
    kept = "Automatic" if schedule == "Uniform" else schedule
    assert params_of(line, has_backcompat=False)["scheduler"] == kept


@pytest.mark.parametrize(
    ("first", "expected"), [("512x640", (512, 640)), ("0x0", (448, 640)), ("64x0", (448, 640))]
)
def test_first_pass_size_of_2022_becomes_hires_fix(first: str, expected: tuple[int, int]) -> None:
    found = read_infotext(f"a\n{LINE}, Denoising strength: 0.6, First pass size: {first}")
    params = found.params
    assert (params["width"], params["height"]) == expected
    assert (params["hr_resize_x"], params["hr_resize_y"]) == (512, 768)
    assert (params["enable_hr"], params["hr_upscaler"]) == (True, "Latent")
    assert found.rest == {}
    assert "512×768" in found.told[0]


@pytest.mark.parametrize("first", ["0x0, Size: 0x0", "axb", "1", "512x512, Size: 9"])
def test_broken_first_pass_size_changes_nothing(first: str) -> None:
    assert params_of(f"Steps: 2, Seed: 1, First pass size: {first}").get("enable_hr") is False


def test_eta_of_ddim_had_no_name_of_its_own() -> None:
    line = f"{LINE}, Eta: 0.5"
    assert read_infotext(f"a\n{line}, Sampler: DDIM").overrides["eta_ddim"] == 0.5
    assert read_infotext(f"a\n{line}, Sampler: Euler a").overrides["eta_ancestral"] == 0.5


def test_keys_in_another_case_are_known() -> None:
    line = "steps: 20, sampler: Euler a, CFG Scale: 5, seed: 3, size: 64x96, Clip Skip: 2"
    found = read_infotext(f"a\n{line}")
    assert (found.params["cfg_scale"], found.params["seed"]) == (5, 3)
    assert found.overrides["CLIP_stop_at_last_layers"] == 2
    assert found.rest == {}


def test_absent_keys_mean_the_defaults() -> None:
    found = read_infotext(f"a (cat)\n{LINE}, Sampler: Euler")
    wanted = {"CLIP_stop_at_last_layers": 1, "randn_source": "GPU", "emphasis": "Original"}
    assert {key: found.overrides[key] for key in wanted} == wanted


def test_model_and_vae_are_named_by_what_the_text_says() -> None:
    found = read_infotext(f"a\n{LINE}, Model hash: 6ce0161689, Model: v1-5, VAE: x.pt")
    assert found.names == {CHECKPOINT: ("6ce0161689", "v1-5"), VAE: ("x.pt",)}
    assert found.overrides[CHECKPOINT] == "6ce0161689"
    assert found.overrides[VAE] == "x.pt"


FORGE = (
    "a\nSteps: 20, Sampler: Euler, Schedule type: Simple, CFG scale: 1, Distilled CFG Scale: 3.5, "
    "Seed: 1, Size: 896x1152, Model: flux1-dev, Hires Module 1: Use same choices, Hires CFG Scale: "
    "1, Lora hashes: \"a: 123, b: 456\", Version: f2.0.1v1.10.1-previous-659-gc055f2d4, "
    "Diffusion in Low Bits: Automatic, Module 1: ae, Module 2: clip_l"
)  # fmt: skip
SD_NEXT = (
    "a\nSteps: 20, Size: 512x512, Sampler: UniPC, Seed: 1, CFG scale: 6, App: SD.Next, "
    "Version: 0a4f1e7, Parser: native, Pipeline: StableDiffusionPipeline, Operations: txt2img"
)
CIVITAI = (
    "a\nNegative prompt: b\nSteps: 30, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1, "
    'Size: 832x1216, Clip skip: 2, Created Date: 2025-01-05T09:12:01Z, Civitai resources: [{"type":'
    '"checkpoint","modelVersionId":128078,"modelName":"SDXL"}], Civitai metadata: {}'
)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (FORGE, {"Distilled CFG Scale", "Hires CFG Scale", "Hires Module 1", "Module 1",
                 "Module 2", "Diffusion in Low Bits"}),
        (SD_NEXT, {"Pipeline", "Operations"}),
        (CIVITAI, set()),
    ],
)  # fmt: skip
def test_keys_of_relatives_without_a_place_here_are_told(text: str, rest: set[str]) -> None:
    found = read_infotext(text)
    assert found.rest.keys() == rest
    assert found.params["seed"] == 1


def test_skipped_keys_are_passed_over() -> None:
    found = read_infotext(f"a\n{LINE}, Clip skip: 2", skip=("Seed", "Clip skip", "Size-1"))
    assert not {"seed", "width"} & found.params.keys()
    assert "CLIP_stop_at_last_layers" not in found.overrides


def test_labels_of_radio_buttons_become_their_values() -> None:
    line = f"{LINE}, Mask mode: Inpaint not masked, Masked content: latent noise, Mask blur: 7"
    params = params_of(f"{line}, Inpaint area: Only masked", model=Img2ImgParams)
    wanted = {"inpainting_mask_invert": 1, "inpainting_fill": 2, "mask_blur": 7}
    assert {name: params[name] for name in wanted} == wanted
    assert params["inpaint_full_res"] is True


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "a: b, c: d, e: f, g: h", "Steps: 1, Seed: x, Size: 9",
        f"Steps: 1, Seed: 2, Version: v{'9' * 5000}.1.1",
        f"Steps: {'9' * 5000}, Seed: 1, Size: 1x1",
        f"First pass size: {'9' * 5000}x1, Size: 1x1, Seed: 1",
        "Eta: inf, ENSD: nan, Clip skip: inf",
    ],
)  # fmt: skip
def test_odd_texts_raise_nothing(text: str) -> None:
    read_infotext(text)
    read_infotext(text, model=Img2ImgParams)


def test_values_that_are_none_are_told() -> None:
    text = "a\nSteps: many, Sampler: Euler, Seed: 18446744073709551616, Size: 8x9, Eta: often"
    found = read_infotext(text)
    told = {"Steps": "many", "Seed": "18446744073709551616", "Eta": "often"}
    assert found.refused == told
    assert found.rest == told
    assert not {"seed", "steps"} & found.params.keys()
    assert found.params["width"] == 8
    assert read_infotext("a\nSteps: 1, Sampler: Euler, Seed: 18446744073709551615").refused == {}
