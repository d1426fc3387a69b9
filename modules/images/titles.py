"""The titles of a grid: captions broken into lines, in type that fits, and drawn.

Sizes, breaks and places are those of A1111 1.10's grids, to the pixel while a title fits its room;
there longer ones run into their neighbours, here they are set smaller and at last cut off.
PIL only; its wheels take libfribidi from the system for kerning, and do without where it is not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageDraw, ImageFont

from modules.core.errors import BadInput

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Fonts = Callable[[int], Font]
"""Pixels → font."""
Title = tuple["Caption", ...]

BUILT_IN_FONT = Path(__file__).parent / "fonts" / "Roboto-Regular.ttf"
"""Roboto 2.138, Apache-2.0: what A1111 draws its legends with."""
SMALLEST_FONT = 4
"""Pixels; what does not fit at this size is broken inside words, and cut off."""
LONGEST_CAPTION = 500
"""Characters; longer ones end with an ellipsis."""
STRIKE = 4
"""Pixels of the line through what is not active."""


@dataclass(frozen=True, slots=True)
class Caption:
    """A part of a title; one that is not active is struck through."""

    text: str
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a title."""

    text: str
    is_active: bool
    font: Font
    width: float
    """Of its ink, in the title's type, in pixels; a line that is set smaller keeps its room."""
    height: float
    """As `width`."""


@dataclass(frozen=True, slots=True)
class Block:
    """A title as it is drawn."""

    lines: tuple[Line, ...]
    gap: int
    """Pixels between two lines."""

    @property
    def ink(self) -> float:
        """Pixels of all lines without the gaps."""
        return sum(line.height for line in self.lines)

    @property
    def height(self) -> float:
        """Pixels."""
        return self.ink + self.gap * max(0, len(self.lines) - 1)


def load_font(path: str, size: int) -> Font:
    """A font of `size` pixels; without a path the built-in one. Raises BadInput."""
    if not path:
        return ImageFont.truetype(BUILT_IN_FONT, size)
    try:
        return ImageFont.truetype(path, size)
    except (OSError, ValueError, TypeError) as error:
        raise BadInput("font", path, f"a TrueType file is expected ({error})") from None


def fonts_of(path: str) -> Fonts:
    """Fonts by size in pixels, each loaded once."""
    known: dict[int, Font] = {}

    def load(size: int) -> Font:
        if size not in known:
            known[size] = load_font(path, size)
        return known[size]

    return load


def gap_of(size: int) -> int:
    """Pixels between two lines of type of `size` pixels, and around the titles of columns."""
    return size // 2


def column_title(title: Title, width: int, size: int, fonts: Fonts) -> Block:
    """A title over a cell, as high as it needs; width: of the cell, size: of the type (px)."""
    return Block(tuple(_lines(title, width, size, fonts)), gap_of(size))


def row_title(title: Title, room: tuple[int, int], size: int, fonts: Fonts) -> Block:
    """A title beside a cell: in type of at most `size`, so that it is not higher than the room."""
    largest = _largest(size, lambda one: _within(title, room, one, fonts)[1])
    return _within(title, room, largest, fonts)[0]


def draw_block(
    draw: ImageDraw.ImageDraw, block: Block, place: tuple[float, float], colours: tuple[str, str]
) -> None:
    """Draw a title below the point `place`, on both sides of it; colours: active, inactive."""
    x, y = place
    for line in block.lines:
        if line.text:
            _draw(draw, line, x, y, colours[0] if line.is_active else colours[1])
        y += line.height + block.gap


def _draw(draw: ImageDraw.ImageDraw, line: Line, x: float, y: float, colour: str) -> None:
    draw.text((x, y + line.height / 2), line.text, font=line.font, fill=colour, anchor="mm")
    if not line.is_active:
        half, middle = line.width // 2, y + line.height // 2
        draw.line((x - half, middle, x + half, middle), fill=colour, width=STRIKE)


def _largest(size: int, fits: Callable[[int], bool]) -> int:
    """The largest type of at most `size` pixels that fits, found by halves; the smallest if none.

    Rounding can let a larger type fit where a smaller one does not; then any that fits is found.
    """
    if fits(size):
        return size
    smallest = min(size, SMALLEST_FONT)
    larger = range(smallest + 1, size)
    return smallest + bisect_left(larger, True, key=lambda one: not fits(one))


def _within(title: Title, room: tuple[int, int], size: int, fonts: Fonts) -> tuple[Block, bool]:
    """The first lines, as many as the height has room for, one at least; whether all fit.

    Nothing behind them is measured.
    """
    (width, free), gap = room, gap_of(size)
    left: float = free
    lines: list[Line] = []
    for line in _lines(title, width, size, fonts):
        left -= line.height + (gap if lines else 0)
        if lines and left < 0:
            break
        lines.append(line)
    return Block(tuple(lines), gap), left >= 0


def _lines(title: Title, width: int, size: int, fonts: Fonts) -> Iterator[Line]:
    font = fonts(size)
    for caption in title:
        for text in _broken(_shortened(caption.text).split(), width, font):
            left, top, right, bottom = _box(text, font)
            if right <= width:
                yield Line(text, caption.is_active, font, right - left, bottom - top)
                continue
            for part, own in _fitted(text, width, size, fonts):
                left, top, right, bottom = _box(part, font)
                yield Line(part, caption.is_active, own, right - left, bottom - top)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_CAPTION else text[: LONGEST_CAPTION - 1] + "…"


def _broken(words: Iterable[str], width: int, font: Font) -> Iterator[str]:
    """Words in lines that are no wider than `width`; one that is too wide has its own.

    As in A1111 the first line stays empty where already the first word is too wide.
    """
    line = ""
    for word in words:
        longer = f"{line} {word}".strip()
        if font.getlength(longer) <= width:
            line = longer
        else:
            yield line
            line = word
    yield line


def _fitted(text: str, width: int, size: int, fonts: Fonts) -> Iterator[tuple[str, Font]]:
    """A line in type of at most `size` pixels that fits the width; at the smallest in parts."""
    font = fonts(_largest(size, lambda one: _is_narrow(text, width, fonts(one))))
    if _is_narrow(text, width, font):
        yield text, font
    else:
        yield from ((part, font) for part in _pieces(text, width, font))


def _is_narrow(text: str, width: int, font: Font) -> bool:
    return _box(text, font)[2] <= width


def _box(text: str, font: Font) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the ink (px)."""
    return font.getbbox(text) if text else (0, 0, 0, 0)


def _pieces(word: str, width: int, font: Font) -> Iterator[str]:
    """A word in parts that fit the width, each of a character at least."""
    while word:
        longer = range(2, len(word) + 1)
        count = 1 + bisect_left(longer, True, key=lambda n: not _is_narrow(word[:n], width, font))
        yield word[:count]
        word = word[count:]
