"""Grids with a legend: titles over the columns and beside the rows, and margins between cells.

A title is a stack of captions; one that is not active is struck through. PIL only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from modules.core.errors import BadInput, UnsupportedImage

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Title = tuple["Caption", ...]

SMALLEST_FONT = 6
"""Pixels; what does not fit at this size is broken inside words, and cut off."""
LONGEST_CAPTION = 300
"""Characters; longer ones end with an ellipsis."""
MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class Caption:
    """A part of a title."""

    text: str
    is_active: bool = True


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
    """A TrueType file; empty: the font that PIL brings."""


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    is_active: bool
    width: float


@dataclass(frozen=True, slots=True)
class _Block:
    """A title as it is drawn: its lines, and the font that lets them fit."""

    lines: tuple[_Line, ...]
    font: Font
    size: int

    @property
    def pitch(self) -> int:
        """Pixels from one line to the next."""
        return _line_height(self.size) + _gap(self.size)

    @property
    def height(self) -> int:
        return len(self.lines) * self.pitch - _gap(self.size) if self.lines else 0


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where the parts of a grid lie (px)."""

    left: int
    """Pixels beside the cells."""
    top: int
    """Pixels above the cells."""
    size: tuple[int, int]
    columns: list[_Block]
    """The titles as they are drawn."""
    rows: list[_Block]


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

    margin: pixels between cells. The sizes of the legend are those of A1111 1.10's grids: type of
    a 25th of the cell's width and height together, row titles on three quarters of its width.
    Raises ValueError for no images, and as `grid_size`, before the grid takes any memory.
    """
    if not images:
        raise ValueError("A grid needs at least one image")
    look = look or GridLook()
    columns, rows = _shape(len(images), columns)
    width = max(image.width for image in images)
    height = max(image.height for image in images)
    plan = _plan((width, height), (columns, rows), legend, margin, look, most_megapixels)
    left, top = plan.left, plan.top
    grid = Image.new("RGB", plan.size, look.background)
    draw = ImageDraw.Draw(grid)
    for number, block in enumerate(plan.columns[:columns]):
        _draw(draw, block, left + number * (width + margin) + width // 2, top // 2, look)
    for number, block in enumerate(plan.rows[:rows]):
        _draw(draw, block, left // 2, top + number * (height + margin) + height // 2, look)
    for number, image in enumerate(images):
        x, y = number % columns * (width + margin), number // columns * (height + margin)
        grid.paste(image.convert("RGB"), (left + x, top + y))
    return grid


def load_font(path: str, size: int) -> Font:
    """A font of `size` pixels; without a path the one that PIL brings. Raises BadInput."""
    if not path:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(path, size)
    except (OSError, ValueError, TypeError) as error:
        raise BadInput("font", path, f"a TrueType file is expected ({error})") from None


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
    plan = _with_titles(inner, cell, legend or Legend(), look)
    _check_size(plan.size, most_megapixels)
    return plan


def _check_size(size: tuple[int, int], most: float) -> None:
    width, height = size
    if width * height > most * MEGA:
        raise UnsupportedImage("grid", f"{width}x{height} pixels", f"at most {most:g} MP fit")


def _with_titles(
    inner: tuple[int, int], cell: tuple[int, int], legend: Legend, look: GridLook
) -> _Plan:
    """inner: width and height of all cells with their margins."""
    width, height = cell
    base = max(SMALLEST_FONT, (width + height) // 25)
    load = _fonts(look.font)
    left = width * 3 // 4 if _has_text(legend.rows) else 0
    rows = [_fit(title, left, height, base, load) for title in legend.rows] if left else []
    columns: list[_Block] = []
    if _has_text(legend.columns):
        columns = [_fit(title, width, None, base, load) for title in legend.columns]
    tallest = max((block.height for block in columns), default=0)
    top = tallest + 2 * _gap(base) if tallest else 0
    return _Plan(left, top, (left + inner[0], top + inner[1]), columns, rows)


def _has_text(titles: Sequence[Title]) -> bool:
    return any(caption.text.strip() for title in titles for caption in title)


def _fonts(path: str) -> Callable[[int], Font]:
    """Fonts by size in pixels, each loaded once."""
    known: dict[int, Font] = {}

    def load(size: int) -> Font:
        if size not in known:
            known[size] = load_font(path, size)
        return known[size]

    return load


def _fit(
    title: Title, width: int, height: int | None, base: int, load: Callable[[int], Font]
) -> _Block:
    """The title in the largest type up to `base` that fits the width, and the height if given."""
    block = _Block((), load(base), base)
    for size in range(base, SMALLEST_FONT - 1, -1):
        font = load(size)
        breaks = size == SMALLEST_FONT
        block = _Block(tuple(_lines(title, width, font, breaks_words=breaks)), font, size)
        is_high = height is not None and block.height > height
        if not is_high and all(line.width <= width for line in block.lines):
            return block
    if height is None:
        return block
    return _Block(block.lines[: max(1, height // block.pitch)], block.font, block.size)


def _lines(title: Title, width: int, font: Font, *, breaks_words: bool) -> Iterator[_Line]:
    """The captions' words in lines that are no wider than `width`, if every word fits."""
    for caption in title:
        words = _shortened(caption.text).split()
        if breaks_words:
            words = [part for word in words for part in _pieces(word, width, font)]
        line = ""
        for word in words:
            longer = f"{line} {word}" if line else word
            if line and font.getlength(longer) > width:
                yield _Line(line, caption.is_active, font.getlength(line))
                longer = word
            line = longer
        if line:
            yield _Line(line, caption.is_active, font.getlength(line))


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_CAPTION else text[: LONGEST_CAPTION - 1] + "…"


def _pieces(word: str, width: int, font: Font) -> Iterator[str]:
    """A word in parts that fit the width, each of a character at least."""
    part = ""
    for character in word:
        if part and font.getlength(part + character) > width:
            yield part
            part = ""
        part += character
    yield part


def _draw(draw: ImageDraw.ImageDraw, block: _Block, x: int, y: int, look: GridLook) -> None:
    """Draw a title around the point (x, y)."""
    middle = y - block.height // 2 + _line_height(block.size) // 2
    for line in block.lines:
        colour = look.active if line.is_active else look.inactive
        draw.text((x, middle), line.text, font=block.font, fill=colour, anchor="mm")
        if not line.is_active:
            half = line.width / 2
            thickness = max(1, block.size // 10)
            draw.line((x - half, middle, x + half, middle), fill=colour, width=thickness)
        middle += block.pitch


def _line_height(size: int) -> int:
    return round(size * 0.8)


def _gap(size: int) -> int:
    return size // 2
