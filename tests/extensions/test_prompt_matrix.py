"""Prompt matrix over a job that makes coloured squares."""

from __future__ import annotations

from typing import Any

import pytest

from modules.core.errors import BadInput
from modules.images.titles import Caption
from modules.processing.run import Services
from tests.extensions.plot_job import SquaresJob, colour, txt2img

from easel_plots.matrix import legend_of, run_matrix  # isort: skip

FOX = "a red fox|in the snow|at night"


def watch(p: Any) -> Any:
    return p.prompt, p.negative_prompt, p.seed, p.n_iter


def test_every_combination_is_made_and_stands_in_the_grid(services: Services) -> None:
    job = SquaresJob(services.models, watch=watch)
    made = run_matrix(txt2img(job, prompt=FOX), False, False, "positive", "comma", 0)
    prompts = ["a red fox", "a red fox, in the snow", "a red fox, at night",
               "a red fox, in the snow, at night"]  # fmt: skip
    assert job.seen == [(prompts, "", [7] * 4, 4)] and job.passes == [4]
    assert made.all_prompts == prompts and made.index_of_first_image == 1
    grid = made.images[0]
    left, top = grid.width - 32, grid.height - 32
    assert left == 12 and top > 0  # row titles take three quarters of a cell
    cells = [grid.getpixel((left + 8 + 16 * (i % 2), top + 8 + 16 * (i // 2))) for i in range(4)]
    assert cells == [colour(i) for i in range(4)]
    assert made.infotexts[0] == made.infotexts[1] and len(made.infotexts) == 5
    assert job.grids == [(grid.size, made.infotexts[0])]
    assert len(made.paths) == len(made.images)


def test_parts_can_stand_at_the_start_with_blanks_and_own_seeds(services: Services) -> None:
    job = SquaresJob(services.models, watch=watch)
    p = txt2img(job, negative_prompt="ugly,|red |, wet", n_iter=9, batch_size=3)
    made = run_matrix(p, True, True, "negative", "space", 4)
    negatives = ["ugly", "red ugly", "wet ugly", "red wet ugly"]
    ((prompt, negative, seeds, n_iter),) = job.seen
    assert (prompt, negative, seeds, n_iter) == ("a red fox", negatives, [7, 8, 9, 10], 2)
    assert made.all_seeds == [7, 8, 9, 10]
    assert made.images[0].width == 12 + 32 + 4


def test_a_random_seed_is_drawn_once(services: Services) -> None:
    job = SquaresJob(services.models)
    made = run_matrix(txt2img(job, prompt="a|b", seed=-1), False, False, "positive", "comma", 0)
    assert len(set(made.all_seeds)) == 1 and made.all_seeds[0] != -1


def test_seeds_begin_again_behind_the_last(services: Services) -> None:
    p = txt2img(SquaresJob(services.models), prompt="a|b|c", seed=2**64 - 1)
    made = run_matrix(p, False, True, "positive", "comma", 0)
    assert made.all_seeds == [2**64 - 1, 0, 1, 2]


def test_a_prompt_without_bars_is_one_picture(services: Services) -> None:
    made = run_matrix(txt2img(SquaresJob(services.models)), False, False, "positive", "comma", 0)
    assert [image.size for image in made.images] == [(16, 16)] * 2


def test_three_parts_make_four_columns_and_two_rows(services: Services) -> None:
    p = txt2img(SquaresJob(services.models), prompt="a|b|c|d")
    grid = run_matrix(p, False, False, "positive", "comma", 0).images[0]
    assert grid.width == 12 + 4 * 16
    legend = legend_of(["b", "c", "d"])
    assert (len(legend.columns), len(legend.rows)) == (4, 2)
    assert legend.columns[1] == (Caption("b"), Caption("c", is_active=False))
    assert legend.rows[1] == (Caption("d"),)


def test_titles_show_the_parts_as_they_were_typed(services: Services) -> None:
    def make(prompt: str) -> tuple[bytes, Any]:
        p = txt2img(SquaresJob(services.models), prompt=prompt, width=128, height=128)
        made = run_matrix(p, False, False, "positive", "comma", 0)
        return made.images[0].tobytes(), made.all_prompts

    plain, spaced, ended = make("a|b"), make("a | b "), make("a, | b,")
    assert plain == spaced and plain[1] == ended[1] == ["a", "a, b"]
    assert plain[0] != ended[0]


def test_a_stopped_matrix_has_blank_cells(services: Services) -> None:
    job = SquaresJob(services.models, grid_background_color="#00ff00")
    made = run_matrix(txt2img(job, prompt="a|b"), False, False, "positive", "comma", 0)
    assert made.images[0].getpixel((24, made.images[0].height - 8)) == colour(1)

    class Half(SquaresJob):
        def process(self, p: Any) -> Any:
            result = super().process(p)
            del result.images[1:], result.infotexts[1:], result.paths[1:]
            return result

    half = Half(services.models, grid_background_color="#00ff00")
    made = run_matrix(txt2img(half, prompt="a|b"), False, False, "positive", "comma", 0)
    assert (
        made.images[0].getpixel((24, made.images[0].height - 8)) == (0, 255, 0)
        and len(made.images) == 2
    )
    none = SquaresJob(services.models, skip=(0,))
    assert run_matrix(txt2img(none), False, False, "positive", "comma", 0).images == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((False, False, "both", "comma", 0), "Select prompt: 'both' .*positive, negative"),
        ((False, False, "positive", "dot", 0), "Select joining char: 'dot' .*comma, space"),
        ((False, False, ["positive"], "comma", 0), "Select prompt: .*positive, negative"),
        ((False, False, "positive", {}, 0), "Select joining char: .*comma, space"),
        (("false", False, "positive", "comma", 0), "start of prompt: 'false' .*true or false"),
        ((False, "no", "positive", "comma", 0), "different seed .*: 'no' .*true or false"),
        ((False, False, "positive", "comma", -2), "Grid margins"),
        ((False, False, "positive", "comma", "x"), "Grid margins"),
    ],
)
def test_bad_arguments_are_refused(services: Services, arguments: Any, told: str) -> None:
    job = SquaresJob(services.models)
    with pytest.raises(BadInput, match=told):
        run_matrix(txt2img(job), *arguments)
    assert job.seen == []


def test_too_many_combinations_are_refused(services: Services) -> None:
    job = SquaresJob(services.models, img_max_size_mp=1)
    with pytest.raises(BadInput, match="13 parts.* at most 12"):
        run_matrix(txt2img(job, prompt="a" + "|b" * 13), False, False, "positive", "comma", 0)
    p = txt2img(job, prompt="a" + "|b" * 12, width=64)
    with pytest.raises(BadInput, match="grid of 4096 pictures .* 1 MP"):
        run_matrix(p, False, False, "positive", "comma", 0)
    assert job.seen == []


def test_margins_and_titles_count_as_pixels_of_the_grid(services: Services) -> None:
    job = SquaresJob(services.models, img_max_size_mp=1)
    with pytest.raises(BadInput, match="grid of 4 pictures .* 1 MP"):
        run_matrix(txt2img(job, prompt="a|b|c"), False, False, "positive", "comma", 2000)
    p = txt2img(job, prompt="a|b|c", width=480, height=480)  # without titles 0.92 MP
    with pytest.raises(BadInput, match="grid of 4 pictures .* 1 MP"):
        run_matrix(p, False, False, "positive", "comma", 0)
    assert job.seen == []


def test_a_font_that_is_none_is_refused_before_any_picture(services: Services) -> None:
    job = SquaresJob(services.models, font="/no/such/font.ttf")
    with pytest.raises(BadInput, match="^font: "):
        run_matrix(txt2img(job), False, False, "positive", "comma", 0)
    assert job.seen == []


def test_pictures_that_came_out_larger_are_given_without_a_grid(services: Services) -> None:
    class Larger(SquaresJob):
        def process(self, p: Any) -> Any:
            made = super().process(p)
            made.images = [image.resize((1024, 1024)) for image in made.images]
            return made

    job = Larger(services.models, img_max_size_mp=1)
    made = run_matrix(txt2img(job, prompt="a|b"), False, False, "positive", "comma", 0)
    assert len(made.images) == 2 and made.index_of_first_image == 0
    assert "no grid" in job.warnings[0] and "1 MP" in job.warnings[0]
