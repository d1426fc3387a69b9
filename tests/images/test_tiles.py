"""Tiles: they cover the picture, and give it back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modules.images.tiles import join_tiles, tile_boxes, tile_starts

SIDES = st.integers(1, 300)


@given(SIDES, SIDES, st.integers(0, 100))
def test_tiles_cover_a_side_and_overlap_enough(length: int, tile: int, overlap: int) -> None:
    if tile <= overlap and length > tile:
        with pytest.raises(ValueError, match="cannot overlap"):
            tile_starts(length, tile, overlap)
        return
    starts = tile_starts(length, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] + tile >= length and (len(starts) == 1 or starts[-1] + tile == length)
    assert all(b - a <= tile - overlap for a, b in pairwise(starts))
    fewer = len(starts) - 1
    assert fewer < 1 or fewer * (tile - overlap) + overlap < length, "one less would do"


@pytest.mark.parametrize(("size", "tile", "overlap"), [
    ((100, 70), (40, 30), 10), ((64, 64), (64, 64), 32), ((50, 200), (80, 60), 0),
    ((97, 53), (33, 31), 16),
])  # fmt: skip
def test_a_picture_that_was_cut_up_is_put_together_again(
    size: tuple[int, int], tile: tuple[int, int], overlap: int
) -> None:
    levels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(levels)
    boxes = tile_boxes(size, tile, overlap)
    joined = join_tiles(boxes, [[picture.crop(box) for box in row] for row in boxes], overlap)
    assert joined.size == size and joined.tobytes() == picture.tobytes()


def test_neighbours_fade_into_each_other_over_the_overlap() -> None:
    boxes = tile_boxes((48, 8), (32, 8), 16)
    tiles = [Image.new("RGB", (32, 8), level) for level in ("black", "white")]
    joined = np.asarray(join_tiles(boxes, [tiles], 16))[0, :, 0].astype(int)
    assert (joined[:16] == 0).all() and (joined[32:] == 255).all()
    assert (np.diff(joined[15:33]) >= 0).all() and joined[16] == 0 and joined[24] == 127


def test_rows_fade_into_each_other_too() -> None:
    boxes = tile_boxes((8, 48), (8, 32), 16)
    tiles = [[Image.new("RGB", (8, 32), level)] for level in ("black", "white")]
    joined = np.asarray(join_tiles(boxes, tiles, 16))[:, 0, 0].astype(int)
    assert joined[15] == 0 and joined[24] == 127 and joined[32] == 255


def test_tiles_larger_than_the_picture_are_cut_to_it() -> None:
    (row,) = tile_boxes((30, 20), (64, 64), 64)
    assert [tuple(box) for box in row] == [(0, 0, 30, 20)]
