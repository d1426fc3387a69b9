"""X/Y/Z plot over a job that makes coloured squares: order, seeds, grids, legends."""

from __future__ import annotations

import pytest

from modules.processing.run import Services
from tests.extensions.plot_job import SquaresJob, args, colour, txt2img, values_of

from easel_plots.axes import find_axis  # isort: skip
from easel_plots.order import read_order  # isort: skip
from easel_plots.plot import caption_of, run_plot  # isort: skip

MODEL = "tiny15.safetensors"


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


def test_a_single_value_of_z_has_its_title(services: Services) -> None:
    axes = (("CFG Scale", "3,9"), ("Nothing", ""), ("Seed", "5"))
    sizes = [
        run_plot(txt2img(SquaresJob(services.models), width=128, height=128), given).images[0].size
        for given in (args(*axes[:2], legend=True), args(*axes, legend=True))
    ]
    (width, height), titled = sizes
    assert (width, height) == (256, 128 + 18)
    size = (width + height) // 25  # of the type over the sheet
    assert titled[0] == width and titled[1] - height > size // 2 * 2


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


def test_sizes_make_cells_as_large_as_the_largest(services: Services) -> None:
    job = SquaresJob(services.models, watch=lambda p: (p.width, p.height))
    plot = run_plot(txt2img(job), args(("Size", "16x32, 24x8")))
    assert job.seen == [(16, 32), (24, 8)] and plot.images[0].size == (48, 32)


@pytest.mark.parametrize(
    ("label", "text", "wanted"),
    [
        ("CFG Scale", "3, 0.1-0.3 (+0.1)", ["CFG Scale: 3.0", "CFG Scale: 0.1", "CFG Scale: 0.2",
                                            "CFG Scale: 0.3"]),
        ("Sampler", "euler A, ddim", ["euler A", "ddim"]),
        ("Hires sampler", "heun", ["Hires sampler: heun"]),
        ("Schedule type", "karras", ["Schedule type: karras"]),
        ("Checkpoint name", f"tiny15, {MODEL}", ["tiny15", MODEL]),
        ("Refiner checkpoint", "none, tiny15", ["none", "tiny15"]),
        ("Prompt order", "red, fox", ["red, fox", "fox, red"]),
        ("Prompt S/R", "red, ", ["red", ""]),
        ("Face restore", "gfpgan", ["gfpgan"]),
        ("Size", "16x32", ["Size: 16x32"]),
        ("SGM noise multiplier", "yes", ["SGM noise multiplier: True"]),
    ],
)  # fmt: skip
def test_titles_name_values_as_they_were_given(
    services: Services, label: str, text: str, wanted: list[str]
) -> None:
    line = read_order(txt2img(SquaresJob(services.models)), args((label, text))).lines[0]
    assert [caption_of(line.axis, value) for value in line.shown] == wanted


def test_a_title_of_a_checkpoint_leaves_its_folder_out() -> None:
    axis = find_axis("txt2img", "X", "Checkpoint name")
    assert caption_of(axis, "sd15/photo\\a b.safetensors [0123abcdef]") == (
        "a b.safetensors [0123abcdef]"
    )
