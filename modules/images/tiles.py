"""Tiles: a large picture cut into overlapping parts, and put together again without seams."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from modules.images.masks import Box

Tiles = tuple[tuple[Box, ...], ...]
"""Rows of boxes from top to bottom; all boxes are of one size."""


def tile_starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Where tiles begin along one axis: as few as will do, evenly spaced; all in pixels.

    Neighbours share at least `overlap`. Raises ValueError where a tile is not larger than that,
    and more than one is needed. A1111 1.10 behaviour.

    >>> tile_starts(256, 128, 64), tile_starts(1000, 512, 64), tile_starts(300, 512, 512)
    ((0, 64, 128), (0, 244, 488), (0,))
    """
    if length <= tile:
        return (0,)
    if tile <= overlap:
        raise ValueError(f"Tiles of {tile} pixels cannot overlap by {overlap}")
    last = math.ceil((length - overlap) / (tile - overlap)) - 1
    return tuple(place * (length - tile) // last for place in range(last + 1))


def tile_boxes(size: tuple[int, int], tile: tuple[int, int], overlap: int) -> Tiles:
    """Boxes of `tile` (width, height) over a picture of `size`; cut to the picture if larger.

    Raises ValueError as `tile_starts` does.
    """
    width, height = min(tile[0], size[0]), min(tile[1], size[1])
    columns = tile_starts(size[0], width, overlap)
    return tuple(
        tuple(Box(left, top, left + width, top + height) for left in columns)
        for top in tile_starts(size[1], height, overlap)
    )


def join_tiles(
    boxes: Tiles, pictures: Sequence[Sequence[Image.Image]], overlap: int
) -> Image.Image:
    """RGB picture of tiles (RGB, each of its box's size) at their boxes.

    Each tile fades in over the first `overlap` pixels of what it shares with its neighbour: from
    left to right within a row, then row by row.
    """
    last = boxes[-1][-1]
    whole = Image.new("RGB", (last.right, last.bottom))
    for row, images in zip(boxes, pictures, strict=True):
        band = Image.new("RGB", (last.right, row[0].height))
        for box, image in zip(row, images, strict=True):
            band.paste(image, (box.left, 0), _fade(overlap if box.left else 0, image.size))
        fade = _fade(overlap if row[0].top else 0, (band.height, band.width))
        whole.paste(band, (0, row[0].top), fade.transpose(Image.Transpose.TRANSPOSE))
    return whole


def _fade(overlap: int, size: tuple[int, int]) -> Image.Image:
    """L of `size` (width, height): from 0 upwards over `overlap` columns, 255 behind them."""
    width, height = size
    levels = np.full(width, 255, dtype=np.uint8)
    ramp = np.arange(min(overlap, width), dtype=np.float32) * 255 / max(overlap, 1)
    levels[: len(ramp)] = ramp.astype(np.uint8)
    return Image.fromarray(np.broadcast_to(levels, (height, width)).copy())
