"""Contact sheets."""

import pytest
from PIL import Image

from modules.images.flatten import flatten
from modules.images.grid import grid_rows, image_grid


@pytest.mark.parametrize(
    ("count", "options", "rows"),
    [
        (1, {}, 1),
        (2, {}, 1),
        (3, {}, 2),
        (4, {}, 2),
        (5, {}, 2),
        (9, {}, 3),
        (8, {"rows": 3}, 3),
        (2, {"rows": 5}, 2),
        (8, {"rows": 0, "batch_size": 4}, 4),
        (3, {"rows": 0, "batch_size": 4}, 3),
        (12, {"prevent_empty": True}, 3),
        (7, {"prevent_empty": True}, 1),
    ],
)
def test_rows_follow_the_settings(count: int, options: dict[str, int], rows: int) -> None:
    assert grid_rows(count, **options) == rows  # type: ignore[arg-type]


def test_pictures_stand_in_reading_order() -> None:
    colours = [(i * 10, i, 0) for i in range(1, 6)]
    grid = image_grid([Image.new("RGB", (8, 4), colour) for colour in colours], 2)
    assert grid.size == (24, 8)
    found = [grid.getpixel((i % 3 * 8, i // 3 * 4)) for i in range(6)]
    assert found == [*colours, (0, 0, 0)]


def test_cells_fit_the_largest_picture() -> None:
    images = [Image.new("RGB", (8, 4), "red"), Image.new("RGB", (4, 8), "red")]
    grid = image_grid(images, 1, background="#ffffff")
    assert grid.size == (16, 8)
    assert grid.getpixel((0, 7)) == grid.getpixel((15, 0)) == (255, 255, 255)


def test_no_picture_makes_no_grid() -> None:
    with pytest.raises(ValueError, match="at least one"):
        image_grid([])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "1"])
def test_flatten_gives_rgb(mode: str) -> None:
    assert flatten(Image.new(mode, (5, 3))).mode == "RGB"


def test_flatten_shows_the_background_through() -> None:
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 128))
    assert flatten(half, "#ff0000").getpixel((0, 0)) == (127, 0, 0)
