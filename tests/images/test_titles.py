"""Titles broken into lines, in type that fits."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from modules.images.titles import (
    SMALLEST_FONT,
    STRIKE,
    Block,
    Caption,
    column_title,
    draw_block,
    fonts_of,
    load_font,
    row_title,
)

FONTS = fonts_of("")


def texts(block: Block) -> list[str]:
    return [line.text for line in block.lines]


def sizes(block: Block) -> list[float]:
    """Of the type of each line, in pixels."""
    return [getattr(line.font, "size", 0) for line in block.lines]


def test_words_fill_lines_up_to_the_width() -> None:
    block = column_title((Caption("one two  three\nfour"),), 50, 10, FONTS)
    assert texts(block) == ["one two", "three four"] and sizes(block) == [10, 10]
    assert block.height == sum(line.height for line in block.lines) + 5


def test_a_word_that_is_too_wide_is_set_smaller_on_its_own_line() -> None:
    block = column_title((Caption("a incomprehensibilities b"),), 60, 10, FONTS)
    assert texts(block) == ["a", "incomprehensibilities", "b"]
    large, small, last = sizes(block)
    assert large == last == 10 and SMALLEST_FONT <= small < 10
    assert block.lines[1].font.getbbox("incomprehensibilities")[2] <= 60


def test_the_first_line_is_empty_before_a_word_that_is_too_wide() -> None:
    block = column_title((Caption("incomprehensibilities"),), 60, 10, FONTS)
    assert texts(block) == ["", "incomprehensibilities"] and block.lines[0].height == 0
    assert block.height == block.lines[1].height + 5


def test_what_does_not_fit_at_the_smallest_size_is_broken_inside_words() -> None:
    block = column_title((Caption("w" * 200),), 60, 10, FONTS)
    assert "".join(texts(block)) == "w" * 200 and set(sizes(block)[1:]) == {SMALLEST_FONT}
    assert all(line.font.getbbox(line.text)[2] <= 60 for line in block.lines if line.text)


def test_a_row_is_set_smaller_as_a_whole_and_then_cut() -> None:
    caption = (Caption("some words about it " * 5),)
    assert sizes(row_title(caption, (60, 500), 10, FONTS))[0] == 10
    smaller = row_title(caption, (60, 60), 10, FONTS)
    assert SMALLEST_FONT <= sizes(smaller)[0] < 10 and len({*sizes(smaller)}) == 1
    assert " ".join(texts(smaller)) == ("some words about it " * 5).strip()
    cut = row_title(caption, (60, 12), 10, FONTS)
    assert (
        texts(cut) == texts(row_title(caption, (60, 500), SMALLEST_FONT, FONTS))[: len(cut.lines)]
    )
    assert smaller.height <= 60 and cut.height <= 12


class Measured:
    """A font that counts how often it is asked for the room of a text."""

    def __init__(self) -> None:
        self.count = 0
        self._fonts = fonts_of("")

    def __call__(self, size: int) -> Any:
        """The font of that size (px)."""
        font = self._fonts(size)
        return SimpleNamespace(
            size=size,
            getbbox=self._counting(font.getbbox),
            getlength=self._counting(font.getlength),
        )

    def _counting(self, measure: Callable[[str], Any]) -> Callable[[str], Any]:
        def counted(text: str) -> Any:
            self.count += 1
            return measure(text)

        return counted


@pytest.mark.parametrize(("text", "most"), [("some words about it " * 50, 1000), ("w" * 1000, 300)])
def test_type_for_a_long_title_is_found_with_few_measurements(text: str, most: int) -> None:
    fonts, room = Measured(), (384, 512)
    block = row_title((Caption(text),), room, 80, fonts)
    assert fonts.count <= most
    assert SMALLEST_FONT <= min(sizes(block)) < 80 and block.height <= 512
    assert "".join("".join(texts(block)).split()).endswith("…"), "the whole caption is there"


def test_an_empty_caption_keeps_its_line() -> None:
    block = column_title((Caption("a"), Caption("", is_active=False), Caption("b")), 60, 10, FONTS)
    assert texts(block) == ["a", "", "b"] and block.lines[1].height == 0


@pytest.mark.parametrize("is_active", [True, False])
def test_what_is_not_active_has_a_line_through_it(is_active: bool) -> None:
    image = Image.new("L", (100, 40), 255)
    block = column_title((Caption("i i i", is_active), Caption("", is_active)), 100, 10, FONTS)
    draw_block(ImageDraw.Draw(image), block, (50, 10), ("#000", "#999"))
    ink = np.asarray(image) == 0x99
    struck = ink.sum(axis=1) >= block.lines[0].width
    assert struck.sum() == (0 if is_active else STRIKE)
    assert bool(np.asarray(image).min() < 0x80) is is_active


def test_the_built_in_font_has_the_letters_of_europe() -> None:
    font = load_font("", 20)
    blank = font.getmask("\uffff").getbbox()
    masks = {bytes(font.getmask(letter)) for letter in "ÄßçñłЖяΩλ€"}
    assert len(masks) == 10 and blank is not None
    assert bytes(font.getmask("\uffff")) not in masks
