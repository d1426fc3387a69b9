"""A network over a large picture, tile by tile, and put together without seams.

Each tile sees more of the picture than is kept of it: what a network makes of a picture's edge is
cut off, and neighbours fade into one another in the middle of what they share.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.images.tiles import tile_starts

Run = Callable[[Tensor], Tensor]
"""(C, h, w) in [0, 1] → (C, h * scale, w * scale) in [0, 1], float32 on the CPU."""
OnTile = Callable[[int, int], None]
"""Called with (tiles done, tiles in all) before each tile and after the last; may raise."""


@dataclass(frozen=True, slots=True)
class Span:
    """One tile along one axis, in pixels of the picture."""

    start: int
    stop: int
    keep_from: int
    """Here it begins to fade in over `fade` pixels; its own start at the picture's edge."""
    fade: int


def spans(length: int, tile: int, overlap: int) -> tuple[Span, ...]:
    """The tiles along an axis; neighbours share at least twice the overlap.

    tile: 0 for one that holds all. Half of the overlap on each side is only seen, never kept.

    >>> [(one.start, one.stop, one.keep_from) for one in spans(40, 24, 4)]
    [(0, 24, 0), (16, 40, 18)]
    """
    if tile <= 0 or length <= tile:
        return (Span(0, length, 0, 0),)
    overlap = min(overlap, tile // 4)
    starts = tile_starts(length, tile, 2 * overlap)
    made = [Span(0, tile, 0, 0)]
    for before, start in itertools.pairwise(starts):
        spare = (before + tile - start - overlap) // 2
        made.append(Span(start, start + tile, start + spare, overlap))
    return tuple(made)


def run_tiled(
    run: Run, picture: Tensor, scale: int, *, tile: int, overlap: int, on_tile: OnTile
) -> Tensor:
    """(C, H, W) float32 in [0, 1] → (C, H * scale, W * scale) uint8, on the CPU.

    tile, overlap: in pixels of the picture; a tile of 0 is the whole picture.
    """
    columns = spans(picture.shape[2], tile, overlap)
    rows = spans(picture.shape[1], tile, overlap)
    count = iter(range(len(rows) * len(columns)))
    total = len(rows) * len(columns)
    height, width = picture.shape[1] * scale, picture.shape[2] * scale
    whole: Tensor | None = None
    for row, strip in _joined(_strips(run, picture, scale, rows, columns, on_tile, count, total)):
        if whole is None:
            whole = torch.empty((strip.shape[0], height, width), dtype=torch.uint8)
        whole[:, row : row + strip.shape[1]] = (strip * 255.0).round_().to(torch.uint8)
    on_tile(total, total)
    assert whole is not None
    return whole


def _strips(
    run: Run,
    picture: Tensor,
    scale: int,
    rows: tuple[Span, ...],
    columns: tuple[Span, ...],
    on_tile: OnTile,
    count: Iterator[int],
    total: int,
) -> Iterator[tuple[Span, Tensor]]:
    """Each row of tiles, scaled, as one strip (C, h, W); its span is scaled too."""
    for row in rows:
        parts = []
        for column in columns:
            on_tile(next(count), total)
            made = run(picture[:, row.start : row.stop, column.start : column.stop])
            parts.append((_scaled(column, scale), made.transpose(1, 2)))
        pieces = [piece for _, piece in _joined(iter(parts))]
        yield _scaled(row, scale), torch.cat(pieces, dim=1).transpose(1, 2)


def _joined(parts: Iterator[tuple[Span, Tensor]]) -> Iterator[tuple[int, Tensor]]:
    """(first row, rows) of tiles (C, length, width) in order, faded into one another.

    Held back is only what the next tile may still change, so memory does not grow.
    """
    held: tuple[int, Tensor] | None = None
    for span, made in parts:
        if held is None:
            held = span.start, made
            continue
        first, before = held
        cut, own = span.keep_from - first, span.keep_from - span.start
        yield first, before[:, :cut]
        fresh = made[:, own:].clone()
        if span.fade:
            weight = (torch.arange(span.fade, dtype=made.dtype) + 0.5) / span.fade
            old = before[:, cut : cut + span.fade]
            fresh[:, : span.fade].lerp_(old, (1 - weight)[None, :, None])
        held = span.keep_from, fresh
    assert held is not None
    yield held


def _scaled(span: Span, scale: int) -> Span:
    values = (span.start, span.stop, span.keep_from, span.fade)
    return Span(*(value * scale for value in values))
