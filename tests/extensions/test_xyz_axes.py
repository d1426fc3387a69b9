"""The axes of an X/Y/Z plot: their places, what values do to a picture, what is refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.core.errors import BadInput
from modules.images.encode import encode_image
from modules.params.styles import Style, StyleDatabase
from modules.processing.p import Processing
from modules.processing.run import Services
from tests.extensions.plot_job import SquaresJob, args, img2img, txt2img, values_of

from easel_plots.axes import AXES, axes_of  # isort: skip
from easel_plots.plot import run_plot  # isort: skip

NAMES = json.loads((Path(__file__).parents[1] / "data/ui/xyz_axes.json").read_text())
MODEL = "tiny15.safetensors"


@pytest.fixture
def styles(tmp_path: Path) -> StyleDatabase:
    database = StyleDatabase([str(tmp_path / "styles.csv")])
    for name in ("Oil", "Ink"):
        database.save(Style(name, f"{name} of {{prompt}}", ""))
    return database


@pytest.fixture
def picture() -> str:
    data = encode_image(Image.new("RGB", (16, 16), "red"), "png")
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("tab", ["txt2img", "img2img"])
def test_axes_stand_where_requests_count_them(tab: str) -> None:
    assert [row.label for row in axes_of(tab)] == NAMES[tab]


CASES: list[tuple[str, str, str, list[Any]]] = [
    ("Var. seed", "3,4", "subseed", [3, 4]),
    ("Var. strength", "0-1 [3]", "subseed_strength", [0.0, 0.5, 1.0]),
    ("Prompt S/R", "red, blue, ", "prompt", ["a red fox", "a blue fox", "a  fox"]),
    ("Prompt order", "red, fox", "prompt", ["a red fox", "a fox red"]),
    ("Schedule type", "karras, Beta", "scheduler", ["Karras", "Beta"]),
    ("Eta", "0, 0.5", "eta", [0.0, 0.5]),
    ("Denoising", "0.2", "denoising_strength", [0.2]),
    ("Styles", 'Oil, "Ink, Oil",', "styles", [["Oil"], ["Ink", "Oil"], []]),
    ("Refiner checkpoint", "none, tiny15", "refiner_checkpoint", ["None", None]),
    ("Refiner switch at", "0.5", "refiner_switch_at", [0.5]),
    ("Face restore", "gfpgan, None", "restore_faces", [True, False]),
    ("Hires steps", "3", "hr_second_pass_steps", [3]),
    ("Hires sampler", "heun", "hr_sampler_name", ["Heun"]),
    ("Hires upscaler", "latent (BICUBIC)", "hr_upscaler", ["Latent (bicubic)"]),
]


@pytest.mark.parametrize(("label", "text", "name", "wanted"), CASES)
def test_parameters_get_their_values(
    services: Services, styles: StyleDatabase, label: str, text: str, name: str, wanted: list[Any]
) -> None:
    job = SquaresJob(services.models, styles, watch=values_of(name))
    run_plot(txt2img(job), args((label, text)))
    seen = [None if isinstance(value, str) and MODEL in value else value for value in job.seen]
    assert seen == wanted


SETTINGS: list[tuple[str, str, str, Any]] = [
    ("Negative Guidance minimum sigma", "1.5", "s_min_uncond", 1.5),
    ("Sigma Churn", "2", "s_churn", 2.0),
    ("Sigma min", "0.1", "s_tmin", 0.1),
    ("Sigma max", "9", "s_tmax", 9.0),
    ("Sigma noise", "0.9", "s_noise", 0.9),
    ("Schedule min sigma", "0.1", "sigma_min", 0.1),
    ("Schedule max sigma", "10", "sigma_max", 10.0),
    ("Schedule rho", "7", "rho", 7.0),
    ("Beta schedule alpha", "0.5", "beta_dist_alpha", 0.5),
    ("Beta schedule beta", "0.5", "beta_dist_beta", 0.5),
    ("Clip skip", "2", "CLIP_stop_at_last_layers", 2),
    ("Initial noise multiplier", "1.1", "initial_noise_multiplier", 1.1),
    ("Extra noise", "0.1", "img2img_extra_noise", 0.1),
    ("VAE", "automatic", "sd_vae", "Automatic"),
    ("VAE", "othervae", "sd_vae", "othervae"),
    ("UniPC Order", "2", "uni_pc_order", 2),
    ("Face restore", "GFPGAN", "face_restoration_model", "GFPGAN"),
    ("Token merging ratio", "0.5", "token_merging_ratio", 0.5),
    ("Token merging ratio high-res", "0.5", "token_merging_ratio_hr", 0.5),
    ("Always discard next-to-last sigma", "True", "always_discard_next_to_last_sigma", True),
    ("SGM noise multiplier", "yes", "sgm_noise_multiplier", True),
    ("RNG source", "CPU", "randn_source", "CPU"),
    ("FP8 mode", "Enable", "fp8_storage", "Enable"),
    ("[Hypertile] Unet First pass Enabled", "1", "hypertile_enable_unet", True),
    ("[Hypertile] Unet Second pass Enabled", "1", "hypertile_enable_unet_secondpass", True),
    ("[Hypertile] Unet Max Depth", "2", "hypertile_max_depth_unet", 2),
    ("[Hypertile] Unet Max Tile Size", "64", "hypertile_max_tile_unet", 64),
    ("[Hypertile] Unet Swap Size", "2", "hypertile_swap_size_unet", 2),
    ("[Hypertile] VAE Enabled", "1", "hypertile_enable_vae", True),
    ("[Hypertile] VAE Max Depth", "2", "hypertile_max_depth_vae", 2),
    ("[Hypertile] VAE Max Tile Size", "64", "hypertile_max_tile_vae", 64),
    ("[Hypertile] VAE Swap Size", "2", "hypertile_swap_size_vae", 2),
]


@pytest.mark.parametrize(("label", "text", "key", "wanted"), SETTINGS)
def test_settings_get_their_values_for_one_picture(
    services: Services, label: str, text: str, key: str, wanted: Any
) -> None:
    job = SquaresJob(services.models, watch=lambda p: p.override_settings.get(key))
    p = txt2img(job, s_churn=1.0)
    run_plot(p, args((label, text)))
    assert job.seen == [wanted] and p.override_settings == {}


def test_a_setting_goes_before_the_parameter_of_the_request(services: Services) -> None:
    job = SquaresJob(services.models, watch=values_of("s_churn"))
    run_plot(txt2img(job, s_churn=1.0), args(("Sigma Churn", "2")))
    assert job.seen == [None]


@pytest.mark.parametrize("label", ["Image CFG Scale", "Cond. Image Mask Weight"])
def test_axes_of_img2img(services: Services, picture: str, label: str) -> None:
    def watch(p: Processing) -> Any:
        weight = p.override_settings.get("inpainting_mask_weight")
        return getattr(p, "image_cfg_scale", None), weight

    job = SquaresJob(services.models, watch=watch)
    run_plot(img2img(job, picture), args((label, "0.5"), tab="img2img"))
    assert 0.5 in job.seen[0]


def test_every_axis_is_covered_here() -> None:
    tested = {row[0] for row in (*CASES, *SETTINGS)}
    elsewhere = {"Nothing", "Seed", "Steps", "CFG Scale", "Sampler", "Checkpoint name", "Size",
                 "Image CFG Scale", "Cond. Image Mask Weight"}  # fmt: skip
    assert {row.label for row in AXES} == tested | elsewhere


REFUSED: list[tuple[tuple[str, str], str]] = [
    (("Seed", ""), r"X values \(Seed\): .*at least one value"),
    (("Steps", "4, x"), r"X values \(Steps\): 'x' .*whole numbers"),
    (("Steps", "4, 0"), r"X values \(Steps\): '0' .*greater than or equal to 1"),
    (("Sampler", "Euler, Eular"), r"X values \(Sampler\): 'Eular' .*known name is 'Euler'"),
    (("Sampler", "zzz"), r"known names: "),
    (("Schedule type", "Karas"), r"'Karas' .*'Karras'"),
    (("Checkpoint name", "nothere"), r"X values \(Checkpoint name\): 'nothere'"),
    (("Refiner checkpoint", "nothere"), r"X values \(Refiner checkpoint\): 'nothere'"),
    (("VAE", "nothere"), r"X values \(VAE\): 'nothere'"),
    (("Styles", "Oyl"), r"X values \(Styles\): 'Oyl' .*'Oil'"),
    (("Hires upscaler", "Latant"), r"'Latant' .*'Latent'"),
    (("Face restore", "x"), r"'x' .*CodeFormer"),
    (("Prompt S/R", "wolf, cat"), r"'wolf' .*must stand in a prompt"),
    (("Prompt S/R", ",cat"), r"must stand in a prompt"),
    (("Prompt order", "red, wolf"), r"'wolf' .*must stand in the prompt"),
    (("Size", "16x32, 7x8"), r"'7x8' .*greater than or equal to 8"),
    (("RNG source", "TPU"), r"X values \(RNG source\): 'TPU' .*GPU, CPU, NV"),
    (("Clip skip", "0, 1"), r"'0' .*1 to 12"),
    (("Denoising", "1.5"), r"'1.5' .*less than or equal to 1"),
]


@pytest.mark.parametrize(("given", "told"), REFUSED)
def test_what_cannot_be_is_refused_before_any_picture(
    services: Services, styles: StyleDatabase, given: tuple[str, str], told: str
) -> None:
    job = SquaresJob(services.models, styles)
    with pytest.raises(BadInput, match=told):
        run_plot(txt2img(job), args(given, ("Steps", "4")))
    assert job.seen == [] and job.passes == []


def test_a_hires_sampler_is_checked_without_a_second_pass_too(services: Services) -> None:
    plot = args(("Steps", "4"), ("Hires sampler", "Eular"))
    with pytest.raises(BadInput, match="Y values .Hires sampler.: 'Eular'"):
        run_plot(txt2img(SquaresJob(services.models)), plot)


@pytest.mark.parametrize("kind", [99, -1, "Stepz", 1.5, True, []])
def test_an_unknown_axis_is_refused(services: Services, kind: Any) -> None:
    with pytest.raises(BadInput, match="X type: .*0 to 50, or one of: Nothing, Seed"):
        run_plot(txt2img(SquaresJob(services.models)), args()._replace(x_type=kind))


def test_an_axis_may_be_named(services: Services) -> None:
    job = SquaresJob(services.models, watch=values_of("steps"))
    run_plot(txt2img(job), args()._replace(x_type="steps", x_values="2,3", x_choices=None))
    assert job.seen == [2, 3]


def test_an_axis_without_effect_is_told(services: Services) -> None:
    job = SquaresJob(services.models)
    run_plot(txt2img(job), args(("Hires steps", "1,2")))
    assert job.warnings == ["Hires steps changes nothing here: Hires. fix is off."]
    job = SquaresJob(services.models)
    run_plot(
        txt2img(job), args(("Refiner switch at", "0.5"), ("Refiner checkpoint", "tiny15, None"))
    )
    assert job.warnings == []
