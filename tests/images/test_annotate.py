"""Grids with a legend."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from modules.core.errors import BadInput, UnsupportedImage
from modules.images.annotate import GridLook, Legend, grid_size, titled_grid
from modules.images.titles import Caption, Title

A1111 = Path(__file__).parents[1] / "data/parity/scripts"
"""Grids that A1111 1.10.1 made."""


def squares(count: int, size: tuple[int, int] = (128, 128)) -> list[Image.Image]:
    return [Image.new("RGB", size, (10 * i + 10, 0, 255)) for i in range(count)]


def titles(*texts: str) -> tuple[Title, ...]:
    return tuple((Caption(text),) for text in texts)


def ink(image: Image.Image, box: tuple[int, int, int, int]) -> np.ndarray:
    """(h, w) bool: where the box is not white."""
    return np.asarray(image.crop(box).convert("L")) < 250


def test_cells_keep_every_pixel_and_stand_in_reading_order() -> None:
    images = squares(4)
    grid = titled_grid(images, 2, legend=Legend(titles("a", "b"), titles("c", "d")), margin=6)
    assert grid.size == (96 + 2 * 128 + 6, 18 + 2 * 128 + 6)
    for number, image in enumerate(images):
        left, top = 96 + number % 2 * 134, 18 + number // 2 * 134
        cell = grid.crop((left, top, left + 128, top + 128))
        assert np.array_equal(np.asarray(cell), np.asarray(image))
    assert not ink(grid, (96 + 128, 18, 96 + 134, grid.height)).any()


@pytest.mark.parametrize(
    ("legend", "size"),
    [
        (None, (256, 128)),
        (Legend(), (256, 128)),
        (Legend(titles("", " "), titles("")), (256, 128)),
        (Legend(titles("a", "b")), (256, 146)),
        (Legend(rows=titles("c")), (352, 128)),
        (Legend(titles("a", "b", "too many"), titles("c", "d")), (352, 146)),
    ],
)
def test_room_is_made_for_titles_that_say_something(
    legend: Legend | None, size: tuple[int, int]
) -> None:
    assert titled_grid(squares(2), 2, legend=legend).size == size


def test_titles_stand_in_the_middle_of_their_cells() -> None:
    grid = titled_grid(squares(4), 2, legend=Legend(titles("HHH", "HHH"), titles("HHH", "HHH")))
    for left in (96, 224):
        columns = np.flatnonzero(ink(grid, (left, 0, left + 128, 18)).any(axis=0))
        assert abs(columns.mean() - 63.5) < 2
    for top in (18, 146):
        rows = np.flatnonzero(ink(grid, (0, top, 96, top + 128)).any(axis=1))
        assert abs(rows.mean() - 63.5) < 3


def test_a_caption_that_is_off_is_grey_and_struck_through() -> None:
    look = GridLook(active="#000000", inactive="#999999")
    rows = ((Caption("HH", is_active=False),), (Caption("HH"),))
    grid = titled_grid(squares(2), 1, legend=Legend(rows=rows), look=look)
    off, on = (ink(grid, (0, top, 96, top + 128)) for top in (0, 128))
    longest = [max(map(sum, part.tolist())) for part in (off, on)]
    assert longest[0] > longest[1] + 2  # the line closes the gaps in and between letters
    darkest = [grid.crop((0, top, 96, top + 128)).convert("L").getextrema()[0] for top in (0, 128)]
    assert darkest[0] >= 0x90 and darkest[1] < 60


@pytest.mark.parametrize(
    "text",
    [
        "word " * 100,
        "w" * 400,
        "a very long title in several lines",
        "日本語" * 80,
        "\x00\n\t x",
        "🦊",
    ],
)
def test_long_titles_stay_within_their_room(text: str) -> None:
    grid = titled_grid(squares(4), 2, legend=Legend(titles(text, "b"), titles(text, "d")))
    top = grid.height - 256
    assert not ink(grid, (0, 0, 94, top - 1)).any()  # nothing runs out of the first column
    assert not ink(grid, (0, top + 128 + 4, 20, grid.height)).any()  # nor out of the first row
    cell = grid.crop((96, top, 224, top + 128))
    assert cell.getcolors() == [(128 * 128, (10, 0, 255))]


def test_several_captions_stand_below_each_other() -> None:
    column = (Caption("H"), Caption("H", is_active=False), Caption("H"))
    grid = titled_grid(squares(1), 1, legend=Legend((column,)))
    assert grid.size == (128, 128 + 3 * 8 + 2 * 5 + 10)


def test_room_over_the_cells_is_that_of_the_ink() -> None:
    heights = [
        titled_grid(squares(1), 1, legend=Legend(titles(text))).height - 128
        for text in ("ace", "HHH", "dog", "HHH " * 10)
    ]
    assert heights == [6 + 10, 8 + 10, 10 + 10, 8 + 5 + 8 + 10]


def test_cells_are_as_large_as_the_largest_picture_of_any_mode() -> None:
    images = [Image.new("L", (8, 20), 7), Image.new("RGBA", (16, 10), (1, 2, 3, 255))]
    grid = titled_grid(images, 5, look=GridLook(background="#102030"))
    assert grid.mode == "RGB" and grid.size == (32, 20)
    assert grid.getpixel((4, 0)) == (7, 7, 7) and grid.getpixel((11, 19)) == (7, 7, 7)
    assert grid.getpixel((16, 5)) == (1, 2, 3) and grid.getpixel((31, 14)) == (1, 2, 3)
    around = [(3, 0), (12, 19), (16, 4), (31, 15)]
    assert [grid.getpixel(place) for place in around] == [(0, 0, 0)] * 4


@pytest.mark.parametrize("font", ["/no/such/font.ttf", "a\0b", "/tmp", "\ud800", __file__])
def test_a_font_that_cannot_be_used_is_refused(font: str) -> None:
    with pytest.raises(BadInput, match="^font: .*TrueType"):
        titled_grid(squares(1), 1, legend=Legend(titles("H")), look=GridLook(font=font))


@pytest.mark.parametrize("legend", [None, Legend(titles("a", "b"), titles("c"))])
def test_the_size_is_known_before_and_has_a_limit(legend: Legend | None) -> None:
    size = grid_size((128, 128), 3, 2, legend=legend, margin=500)
    grid = titled_grid(squares(3), 2, legend=legend, margin=500, most_megapixels=0.7)
    assert grid.size == size and size[0] * size[1] > 500_000
    with pytest.raises(UnsupportedImage, match="grid: '756x756 pixels' .*0.5 MP"):
        titled_grid(squares(3), 2, legend=legend, margin=500, most_megapixels=0.5)
    with pytest.raises(UnsupportedImage, match=f"{size[0]}x{size[1]} pixels"):
        most = size[0] * size[1] / 1_000_000 - 0.001
        grid_size((128, 128), 3, 2, legend=legend, margin=500, most_megapixels=most)


def test_colours_of_titles() -> None:
    look = GridLook(background="#000000", active="#ff0000")
    grid = titled_grid(squares(1), 1, legend=Legend(titles("HHHH")), look=look)
    reds = np.asarray(grid.crop((0, 0, 128, 18)))
    assert reds[..., 0].max() > 200 and reds[..., 1:].max() == 0


def test_the_own_font_grows_with_the_cells() -> None:
    small, large = (
        titled_grid(squares(1, (side, side)), 1, legend=Legend(titles("H"))).height - side
        for side in (128, 512)
    )
    assert (small, large) == (8 + 10, 29 + 40)


def test_many_equal_titles_are_laid_out_once() -> None:
    text = "some words about it " * 20
    legend = Legend(titles(*[text] * 300), titles(*[text] * 300))
    began = time.process_time()
    grid_size((512, 512), 300 * 300, 300, legend=legend)
    assert time.process_time() - began < 2, "each of them takes some 20 ms"


def test_no_picture_makes_no_grid() -> None:
    with pytest.raises(ValueError, match="at least one"):
        titled_grid([], 1)


MATRIX = Legend(
    ((Caption("in the snow", is_active=False),), (Caption("in the snow"),)),
    ((Caption("at night", is_active=False),), (Caption("at night"),)),
)
PLOT = Legend(titles("CFG Scale: 3.0", "CFG Scale: 9.0"), titles("Steps: 4", "Steps: 8"))


@pytest.mark.skipif(not features.check("raqm"), reason="without libfribidi letters are not kerned")
@pytest.mark.parametrize(("name", "legend"), [("prompt_matrix", MATRIX), ("xyz_cfg_steps", PLOT)])
def test_legends_equal_those_of_a1111(name: str, legend: Legend) -> None:
    with Image.open(A1111 / f"{name}.0.png") as file:
        wanted = file.convert("RGB")
    places = [(x, y) for y in (18, 146) for x in (96, 224)]
    cells = [wanted.crop((x, y, x + 128, y + 128)) for x, y in places]
    assert titled_grid(cells, 2, legend=legend).tobytes() == wanted.tobytes()
