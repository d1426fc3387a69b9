"""X/Y/Z plot over a job that makes coloured squares: values, order, seeds, grids, refusals."""

from __future__ import annotations

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
from tests.extensions.plot_job import SquaresJob, args, colour, img2img, txt2img, values_of

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
    import base64

    data = encode_image(Image.new("RGB", (16, 16), "red"), "png")
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("tab", ["txt2img", "img2img"])
def test_axes_stand_where_requests_count_them(tab: str) -> None:
    assert [row.label for row in axes_of(tab)] == NAMES[tab]


def test_pictures_are_made_row_by_row_and_stand_in_reading_order(services: Services) -> None:
    job = SquaresJob(services.models, watch=lambda p: (p.cfg_scale, p.steps))
    plot = run_plot(txt2img(job), args(("CFG Scale", "3, 9"), ("Steps", "4-6")))
    assert job.seen == [(x, y) for y in (4, 5, 6) for x in (3.0, 9.0)]
    assert job.passes == [6]
    (grid,) = plot.images
    assert grid.size == (32, 48)
    cells = [grid.getpixel((8 + 16 * (i % 2), 8 + 16 * (i // 2))) for i in range(6)]
    assert cells == [colour(i) for i in range(6)]
    assert plot.index_of_first_image == 1 and plot.all_seeds == [7] * 6
    assert plot.infotexts[0] == (
        "a red fox\nSteps: 4, Seed: 7, Size: 16x16, Script: X/Y/Z plot, X Type: CFG Scale, "
        'X Values: "3, 9", Y Type: Steps, Y Values: 4-6, Version: v1'
    )
    assert "Script" not in plot.infotexts[1]
    assert job.grids == [((32, 48), plot.infotexts[0])]


def test_sub_images_and_sub_grids_follow_the_grid_of_all(services: Services) -> None:
    job = SquaresJob(services.models, watch=lambda p: (p.cfg_scale, p.steps, p.seed))
    plot = run_plot(
        txt2img(job),
        args(("CFG Scale", "3, 9"), ("Steps", "4"), ("Seed", "1,2,3"),
             include_sub_grids=True, include_lone_images=True),
    )  # fmt: skip
    assert [seed for *_, seed in job.seen] == [1, 1, 2, 2, 3, 3]
    sizes = [image.size for image in plot.images]
    assert sizes == [(96, 16), *[(32, 16)] * 3, *[(16, 16)] * 6]
    assert plot.index_of_first_image == 4 and plot.all_seeds == [1, 1, 2, 2, 3, 3]
    assert plot.images[0].getpixel((40, 8)) == colour(2)
    assert plot.images[2].getpixel((8, 8)) == colour(2)
    assert plot.images[4 + 5].getpixel((8, 8)) == colour(5)
    main, first, second = plot.infotexts[:3]
    assert 'Z Type: Seed, Z Values: "1,2,3", Fixed Z Values: "1, 2, 3"' in main
    assert "Z Type" not in first and "Seed: 2" in second
    assert len(plot.paths) == len(plot.images)


def test_a_single_value_of_z_is_named_in_the_infotext(services: Services) -> None:
    plot = run_plot(txt2img(SquaresJob(services.models)), args(("Nothing", ""), ("Nothing", ""),
                                                               ("Steps", "4")))  # fmt: skip
    assert "Z Type: Steps, Z Values: 4" in plot.infotexts[0] and len(plot.images) == 1


def test_the_dearest_axis_changes_least_often(services: Services) -> None:
    job = SquaresJob(
        services.models, watch=lambda p: (p.override_settings["sd_model_checkpoint"], p.steps)
    )
    plot = run_plot(txt2img(job), args(("Checkpoint name", f"tiny15, {MODEL}"), ("Steps", "4, 8")))
    assert [steps for _, steps in job.seen] == [4, 8, 4, 8]
    assert all(MODEL in str(title) for title, _ in job.seen)
    cells = [plot.images[0].getpixel((8 + 16 * x, 8 + 16 * y)) for y in (0, 1) for x in (0, 1)]
    assert cells == [colour(0), colour(2), colour(1), colour(3)]


def test_random_seeds_are_drawn_once_for_the_whole_plot(services: Services) -> None:
    job = SquaresJob(services.models, watch=lambda p: (p.seed, p.subseed))
    run_plot(txt2img(job, seed=-1), args(("Steps", "1-4")))
    assert len(set(job.seen)) == 1 and -1 not in job.seen[0]
    job = SquaresJob(services.models, watch=values_of("seed"))
    run_plot(txt2img(job, seed=-1), args(("Steps", "1-4"), keeps_random_seeds=True))
    assert job.seen == [-1] * 4


def test_random_seeds_on_an_axis_are_written_down(services: Services) -> None:
    job = SquaresJob(services.models, watch=values_of("seed"))
    plot = run_plot(txt2img(job), args(("Seed", "5, -1")))
    assert job.seen[0] == 5 and job.seen[1] > 0
    assert f'X Values: "5, -1", Fixed X Values: "5, {job.seen[1]}"' in plot.infotexts[0]
    job = SquaresJob(services.models, watch=values_of("seed"))
    plot = run_plot(txt2img(job), args(("Seed", "5, -1"), keeps_random_seeds=True))
    assert job.seen == [5, -1] and "Fixed" not in plot.infotexts[0]


@pytest.mark.parametrize(
    ("varied", "wanted"),
    [
        ("x", [7, 8, 7, 8, 7, 8, 7, 8]),
        ("xy", [7, 8, 9, 10, 7, 8, 9, 10]),
        ("xyz", [7, 8, 9, 10, 11, 12, 13, 14]),
        ("z", [7, 7, 7, 7, 8, 8, 8, 8]),
    ],
)
def test_seeds_vary_along_the_chosen_axes(
    services: Services, varied: str, wanted: list[int]
) -> None:
    job = SquaresJob(services.models, watch=values_of("seed"))
    more = {f"vary_seeds_{letter}": True for letter in varied}
    run_plot(txt2img(job), args(("Steps", "1,2"), ("CFG Scale", "1,2"), ("Eta", "0,1"), **more))
    assert job.seen == wanted


def test_a_stopped_plot_has_blank_cells(services: Services) -> None:
    job = SquaresJob(services.models, stop_after=2, grid_background_color="#00ff00")
    plot = run_plot(
        txt2img(job), args(("Steps", "1,2"), ("CFG Scale", "1,2"), include_lone_images=True)
    )
    assert len(plot.images) == 3 and plot.all_seeds == [7, 7]
    assert plot.images[0].getpixel((8, 24)) == (0, 255, 0)
    assert run_plot(txt2img(SquaresJob(services.models, stop_after=0)), args()).images == []


def test_a_skipped_picture_leaves_its_cell_blank(services: Services) -> None:
    job = SquaresJob(services.models, skip=(0,))
    grid = run_plot(txt2img(job), args(("Steps", "1,2"))).images[0]
    assert [grid.getpixel((x, 8)) for x in (8, 24)] == [(255, 255, 255), colour(1)]


def test_legend_and_margins_surround_the_cells(services: Services) -> None:
    p = txt2img(SquaresJob(services.models), width=128, height=128)
    plot = run_plot(p, args(("CFG Scale", "3,9"), ("Steps", "4,8"), legend=True, margin=10))
    grid = plot.images[0]
    assert grid.size == (96 + 2 * 128 + 10, 18 + 2 * 128 + 10)
    assert grid.getpixel((96 + 133, 100)) == (255, 255, 255)
    assert grid.getpixel((96 + 138, 18 + 138)) == colour(3)
    titles = grid.crop((96, 0, 96 + 128, 18)).convert("L").tobytes()
    assert min(titles) < 50


def test_menus_count_where_they_are_used(services: Services) -> None:
    given = args(("Sampler", "Euler"))._replace(x_choices=["DDIM", "Euler a"])
    job = SquaresJob(services.models, watch=values_of("sampler_name"))
    plot = run_plot(txt2img(job), given)
    assert job.seen == ["DDIM", "Euler a"] and 'X Values: "DDIM, Euler a"' in plot.infotexts[0]
    job = SquaresJob(services.models, watch=values_of("sampler_name"))
    run_plot(txt2img(job), given._replace(is_text=True))
    assert job.seen == ["Euler"]
    job = SquaresJob(services.models, watch=values_of("sampler_name"))
    run_plot(txt2img(job), args(("Sampler", "euler A, dpm++ 2m karras")))
    assert job.seen == ["Euler a", "dpm++ 2m karras"]


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


def test_sizes_make_cells_as_large_as_the_largest(services: Services) -> None:
    job = SquaresJob(services.models, watch=lambda p: (p.width, p.height))
    plot = run_plot(txt2img(job), args(("Size", "16x32, 24x8")))
    assert job.seen == [(16, 32), (24, 8)] and plot.images[0].size == (48, 32)


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
