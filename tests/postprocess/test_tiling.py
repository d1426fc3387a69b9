"""Tiles: where they lie, and that a picture put together of them shows no seams."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from modules.postprocess.tiling import run_tiled, spans


def quiet(done: int, total: int) -> None:
    pass


@pytest.mark.parametrize("length", [1, 23, 24, 25, 40, 97, 300])
@pytest.mark.parametrize(("tile", "overlap"), [(24, 4), (24, 0), (24, 100), (7, 1), (0, 8)])
def test_tiles_cover_the_axis_in_order(length: int, tile: int, overlap: int) -> None:
    made = spans(length, tile, overlap)
    assert (made[0].start, made[0].keep_from, made[-1].stop) == (0, 0, length)
    for before, span in itertools.pairwise(made):
        assert before.keep_from + before.fade <= span.keep_from
        assert span.start <= span.keep_from and span.keep_from + span.fade <= before.stop
        assert span.stop - span.start == tile


def doubled(tile: Tensor) -> Tensor:
    """Looks one pixel around itself; black lies beyond the tile's edge."""
    mean = torch.nn.functional.avg_pool2d(tile, 3, 1, 1)
    return mean.repeat_interleave(2, 1).repeat_interleave(2, 2)


@pytest.mark.parametrize("size", [(24, 24), (25, 60), (100, 70), (3, 200)])
def test_tiles_make_the_same_picture_as_the_whole(size: tuple[int, int]) -> None:
    picture = torch.rand(3, size[1], size[0], generator=torch.Generator().manual_seed(1))
    whole = run_tiled(doubled, picture, 2, tile=0, overlap=0, on_tile=quiet)
    tiled = run_tiled(doubled, picture, 2, tile=24, overlap=4, on_tile=quiet)
    assert torch.equal(tiled, whole)
    assert whole.shape == (3, 2 * size[1], 2 * size[0])


def test_without_overlap_the_seams_would_show() -> None:
    picture = torch.ones(3, 48, 48)
    tiled = run_tiled(doubled, picture, 2, tile=24, overlap=0, on_tile=quiet)
    assert tiled[:, 46:50, 46:50].max() < 255


def test_neighbours_that_disagree_fade_into_one_another() -> None:
    levels = iter((0.0, 1.0))
    made = run_tiled(
        lambda tile: torch.full_like(tile, next(levels)),
        torch.zeros(1, 8, 40), 1, tile=24, overlap=4, on_tile=quiet,
    )  # fmt: skip
    row = made[0, 0].tolist()
    assert row == [0] * 18 + [32, 96, 159, 223] + [255] * 18


def test_progress_counts_every_tile_and_can_stop() -> None:
    seen: list[tuple[int, int]] = []
    picture = torch.zeros(1, 40, 40)
    run_tiled(
        lambda tile: tile, picture, 1, tile=24, overlap=4,
        on_tile=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyError("stop")

    with pytest.raises(KeyError):
        run_tiled(lambda tile: tile, picture, 1, tile=24, overlap=4, on_tile=stop)
