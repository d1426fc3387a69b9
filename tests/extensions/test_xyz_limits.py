"""X/Y/Z plot over a job that makes coloured squares: how large, how many, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from modules.core.errors import BadInput
from modules.processing.p import Processing
from modules.processing.run import Services
from tests.extensions.paint_job import as_text
from tests.extensions.plot_job import SquaresJob, args, img2img, txt2img, values_of

from easel_plots.apply import reordered  # isort: skip
from easel_plots.order import Arguments  # isort: skip
from easel_plots.plot import run_plot  # isort: skip


@pytest.mark.parametrize(
    ("plot", "side"),
    [
        (args(("CFG Scale", "1,2"), ("Steps", "1,2"), margin=3000), 64),
        (args(("CFG Scale", "1,2"), ("Steps", "1,2"), legend=True), 480),
        (args(("CFG Scale", "1,2"), ("Steps", "1,2"), ("Eta", "0,1"), legend=True), 340),
        (args(("Size", "16x1024, 1024x16")), 64),
    ],
    ids=["margins", "titles", "sheets", "sizes"],
)
def test_all_that_the_grid_has_counts(services: Services, plot: Arguments, side: int) -> None:
    job = SquaresJob(services.models, img_max_size_mp=1)
    with pytest.raises(BadInput, match="pictures, .*x.* pixels' .*at most 1 MP"):
        run_plot(txt2img(job, width=side, height=side), plot)
    assert job.seen == []


def test_the_size_of_the_request_does_not_count_where_an_axis_has_sizes(services: Services) -> None:
    job = SquaresJob(services.models, img_max_size_mp=1)
    plot = run_plot(txt2img(job, width=2048, height=2048), args(("Size", "16x16, 32x32")))
    assert plot.images[0].size == (64, 32)


def test_batches_count_where_their_grid_is_a_cell(services: Services) -> None:
    plot = args(("Steps", "4,8"))
    small = {"width": 512, "height": 512, "batch_size": 2, "n_iter": 2}
    job = SquaresJob(services.models, img_max_size_mp=1)
    with pytest.raises(BadInput, match="2048x1024 pixels"):
        run_plot(txt2img(job, **small), plot)
    run_plot(txt2img(SquaresJob(services.models, img_max_size_mp=1, saves=False), **small), plot)


def test_pictures_that_came_out_larger_are_given_without_a_grid(services: Services) -> None:
    class Larger(SquaresJob):
        def process(self, p: Any) -> Any:
            made = super().process(p)
            made.images = [image.resize((1024, 1024)) for image in made.images]
            return made

    job = Larger(services.models, img_max_size_mp=1)
    plot = run_plot(txt2img(job), args(("Steps", "4,8")))
    assert [image.size for image in plot.images] == [(1024, 1024)] * 2
    assert plot.index_of_first_image == 0 and len(plot.infotexts) == len(plot.paths) == 2
    assert "no grid" in job.warnings[0] and not job.grids


def test_a_font_that_is_none_is_refused_before_any_picture(services: Services) -> None:
    job = SquaresJob(services.models, font="/no/such/font.ttf")
    with pytest.raises(BadInput, match="^font: "):
        run_plot(txt2img(job), args(("Steps", "4")))
    assert job.seen == []


@pytest.mark.parametrize(("place", "label"), [
    (9, "Draw legend"), (10, "Include Sub Images"), (11, "Include Sub Grids"),
    (12, "Keep -1 for seeds"), (13, "Vary seeds for X"), (14, "Vary seeds for Y"),
    (15, "Vary seeds for Z"), (17, "Use text inputs"),
])  # fmt: skip
def test_a_text_is_no_switch(services: Services, place: int, label: str) -> None:
    given = [*args(("Steps", "4"))]
    given[place] = "false"
    with pytest.raises(BadInput, match=f"{label}.*'false' .*true or false"):
        run_plot(txt2img(SquaresJob(services.models)), Arguments(*given))


def test_seeds_begin_again_behind_the_last(services: Services) -> None:
    job = SquaresJob(services.models, watch=values_of("seed"))
    run_plot(txt2img(job, seed=2**64 - 1), args(("Steps", "1,2,3"), vary_seeds_x=True))
    assert job.seen == [2**64 - 1, 0, 1]


def test_without_grids_each_cell_is_one_picture(services: Services) -> None:
    picture = as_text(Image.new("RGB", (16, 16), "red"))

    def watch(p: Processing) -> Any:
        return p.n_iter * p.batch_size, len(getattr(p, "init_images", (0,)))

    batch: dict[str, Any] = {"n_iter": 2, "batch_size": 2}
    plot, plot_of_img2img = args(("Steps", "4,8")), args(("Steps", "4,8"), tab="img2img")
    job = SquaresJob(services.models, watch=watch, saves=False)
    run_plot(txt2img(job, **batch), plot)
    run_plot(img2img(job, picture, **batch), plot_of_img2img)
    run_plot(img2img(job, picture, init_images=[picture] * 2, **batch), plot_of_img2img)
    assert job.seen == [(1, 1)] * 6 and job.passes == [2] * 3
    assert len(job.warnings) == 3 and "one picture, not 4" in job.warnings[0]
    job = SquaresJob(services.models, watch=watch)
    run_plot(txt2img(job, do_not_save_grid=True, **batch), plot)
    assert job.seen == [(1, 1)] * 2
    job = SquaresJob(services.models, watch=watch, saves=False)
    run_plot(txt2img(job), plot)
    assert job.warnings == []


def test_grids_above_the_limit_are_refused(services: Services) -> None:
    job = SquaresJob(services.models, img_max_size_mp=1)
    p = txt2img(job, width=512, height=512)
    with pytest.raises(BadInput, match="2x2x1 pictures.* at most 1 MP"):
        run_plot(p, args(("Steps", "4,8"), ("CFG Scale", "1,2")))
    with pytest.raises(BadInput, match="2x1x1 pictures"):
        run_plot(txt2img(job), args(("Size", "16x16, 1024x1024")))
    with pytest.raises(BadInput, match="1x1x1 pictures"):
        run_plot(txt2img(job, width=512, height=512, enable_hr=True), args(("Steps", "4")))


@pytest.mark.parametrize("margin", [-1, "wide", 10**9])
def test_margins_that_cannot_be_are_refused(services: Services, margin: Any) -> None:
    with pytest.raises(BadInput, match="Grid margins"):
        run_plot(txt2img(SquaresJob(services.models)), args(("Steps", "4"), margin=margin))


def test_batches_are_counted_and_single_without_a_grid(services: Services) -> None:
    job = SquaresJob(services.models, watch=values_of("batch_size"))
    run_plot(txt2img(job, n_iter=2, batch_size=2, enable_hr=True), args(("Steps", "4,8")))
    assert job.seen == [2, 2] and job.passes == [8]
    job = SquaresJob(services.models, watch=values_of("batch_size"), return_grid=False)
    run_plot(txt2img(job, batch_size=2), args(("Steps", "4,8")))
    assert job.seen == [1, 1]


@pytest.mark.parametrize("key", ["grid_text_active_color", "grid_text_inactive_color"])
def test_a_colour_that_is_none_is_refused_before_any_picture(services: Services, key: str) -> None:
    job = SquaresJob(services.models, **{key: "blurple"})
    with pytest.raises(BadInput, match=f"{key}: 'blurple' .*#999999"):
        run_plot(txt2img(job), args(("Steps", "4")))
    assert job.seen == []


def test_parts_are_brought_into_order() -> None:
    assert reordered("red cat, cat red", ("cat", "red")) == "cat red, cat red"
    assert reordered("catfish, cat", ("cat", "catfish")) == "cat, catfish"
    assert reordered("a, b, c", ("c", "a", "b")) == "c, a, b"
    assert reordered("a", ("b",)) == "a"
    assert reordered("a big red cat", ("red cat", "big red")) == "a big red cat"


def test_parts_may_overlap_but_not_repeat(services: Services) -> None:
    job = SquaresJob(services.models, watch=values_of("prompt"))
    run_plot(txt2img(job, prompt="a big red cat"), args(("Prompt order", "big red, red cat, cat")))
    assert len(job.seen) == 6 and all(len(text) == 13 for text in job.seen)
    with pytest.raises(BadInput, match=r"X values \(Prompt order\): 'a' .*only once"):
        run_plot(txt2img(job, prompt="a cat"), args(("Prompt order", "a,cat,a")))
