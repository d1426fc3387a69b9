"""Grids with a legend: titles over the columns and beside the rows, and margins between cells.

PIL only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from modules.core.errors import UnsupportedImage
from modules.images.grid import paste_centred
from modules.images.titles import (
    Block,
    Title,
    column_title,
    draw_block,
    fonts_of,
    gap_of,
    row_title,
)

MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class Legend:
    """The titles of a grid, by column and by row; fewer than there are leave the rest blank."""

    columns: tuple[Title, ...] = ()
    rows: tuple[Title, ...] = ()


@dataclass(frozen=True, slots=True)
class GridLook:
    """Colours as PIL reads them, and the font."""

    background: str = "#ffffff"
    active: str = "#000000"
    inactive: str = "#999999"
    font: str = ""
    """A TrueType file; empty: the built-in font."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where the parts of a grid lie (px)."""

    left: int
    """Pixels beside the cells."""
    top: int
    """Pixels above the cells."""
    size: tuple[int, int]
    columns: list[Block]
    """The titles as they are drawn."""
    rows: list[Block]


def grid_size(
    cell: tuple[int, int],
    count: int,
    columns: int,
    *,
    legend: Legend | None = None,
    margin: int = 0,
    look: GridLook | None = None,
    most_megapixels: float = math.inf,
) -> tuple[int, int]:
    """(width, height) of the grid that `titled_grid` makes of `count` pictures of the size `cell`.

    Raises UnsupportedImage above `most_megapixels`, BadInput for a font that cannot be used.
    """
    shape = _shape(count, columns)
    return _plan(cell, shape, legend, margin, look or GridLook(), most_megapixels).size


def titled_grid(
    images: Sequence[Image.Image],
    columns: int,
    *,
    legend: Legend | None = None,
    margin: int = 0,
    look: GridLook | None = None,
    most_megapixels: float = math.inf,
) -> Image.Image:
    """`images` (any sizes and modes) in reading order as RGB; cells are as large as the largest.

    margin: pixels between cells; smaller pictures stand in the middle of a black cell. The sizes of
    the legend are those of A1111 1.10's grids: type of a 25th of the cell's width and height
    together, row titles on three quarters of its width.
    Raises ValueError for no images, and as `grid_size`, before the grid takes any memory.
    """
    if not images:
        raise ValueError("A grid needs at least one image")
    look = look or GridLook()
    shape = _shape(len(images), columns)
    cell = (max(image.width for image in images), max(image.height for image in images))
    plan = _plan(cell, shape, legend, margin, look, most_megapixels)
    grid = Image.new("RGB", plan.size, look.background)
    _draw_titles(grid, plan, cell, margin, look)
    for number, image in enumerate(images):
        row, column = divmod(number, shape[0])
        x, y = column * (cell[0] + margin), row * (cell[1] + margin)
        paste_centred(grid, image.convert("RGB"), (plan.left + x, plan.top + y), cell)
    return grid


def _draw_titles(
    grid: Image.Image, plan: _Plan, cell: tuple[int, int], margin: int, look: GridLook
) -> None:
    draw, colours = ImageDraw.Draw(grid), (look.active, look.inactive)
    width, height = cell
    for number, block in enumerate(plan.columns):
        x = plan.left + number * (width + margin) + width / 2
        draw_block(draw, block, (x, plan.top / 2 - block.height / 2), colours)
    for number, block in enumerate(plan.rows):
        y = plan.top + number * (height + margin)
        # Centred without its gaps, as in A1111, unless it would leave the row.
        inside = min(height / 2 - block.ink / 2, max(0, height - block.height))
        draw_block(draw, block, (plan.left / 2, y + inside), colours)


def _shape(count: int, columns: int) -> tuple[int, int]:
    """(columns, rows) of `count` pictures."""
    columns = max(1, min(columns, count))
    return columns, math.ceil(count / columns)


def _plan(
    cell: tuple[int, int],
    shape: tuple[int, int],
    legend: Legend | None,
    margin: int,
    look: GridLook,
    most_megapixels: float,
) -> _Plan:
    inner = (
        shape[0] * cell[0] + (shape[0] - 1) * margin,
        shape[1] * cell[1] + (shape[1] - 1) * margin,
    )
    _check_size(inner, most_megapixels)  # before the time that the titles of so many cells take
    plan = _with_titles(inner, cell, shape, legend or Legend(), look)
    _check_size(plan.size, most_megapixels)
    return plan


def _check_size(size: tuple[int, int], most: float) -> None:
    width, height = size
    if width * height > most * MEGA:
        raise UnsupportedImage("grid", f"{width}x{height} pixels", f"at most {most:g} MP fit")


def _with_titles(
    inner: tuple[int, int],
    cell: tuple[int, int],
    shape: tuple[int, int],
    legend: Legend,
    look: GridLook,
) -> _Plan:
    """inner: width and height of all cells with their margins."""
    width, height = cell
    size = max(1, (width + height) // 25)
    fonts = fonts_of(look.font)
    left = width * 3 // 4 if _has_text(legend.rows) else 0
    rows: list[Block] = []
    if left:
        shown = legend.rows[: shape[1]]
        blocks = {title: row_title(title, (left, height), size, fonts) for title in {*shown}}
        rows = [blocks[title] for title in shown]
    columns: list[Block] = []
    if _has_text(legend.columns):
        shown = legend.columns[: shape[0]]
        blocks = {title: column_title(title, width, size, fonts) for title in {*shown}}
        columns = [blocks[title] for title in shown]
    tallest = max((block.height for block in columns), default=0)
    top = math.ceil(tallest) + 2 * gap_of(size) if tallest else 0
    return _Plan(left, top, (left + inner[0], top + inner[1]), columns, rows)


def _has_text(titles: Sequence[Title]) -> bool:
    return any(caption.text.strip() for title in titles for caption in title)
