"""Masks: read from any picture, blurred, boxed, and what they cut out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from modules.images.masks import (
    Box,
    blur_mask,
    fill_marked,
    invert_mask,
    kept_part,
    lay_over,
    marked_box,
    only_marked,
    put_into,
    read_mask,
    strengthen_mask,
    with_aspect,
)

SIZE = (40, 30)


def square(left: int = 10, top: int = 8, right: int = 20, bottom: int = 18) -> Image.Image:
    mask = Image.new("L", SIZE)
    mask.paste(255, (left, top, right, bottom))
    return mask


def coloured() -> Image.Image:
    levels = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    return Image.fromarray(levels)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
def test_mask_is_read_from_any_mode(mode: str) -> None:
    assert read_mask(square().convert(mode)).tobytes() == square().tobytes()


def test_alpha_with_holes_is_the_mask() -> None:
    image = coloured().convert("RGBA")
    image.putalpha(square())
    assert read_mask(image).tobytes() == square().tobytes()


@pytest.mark.parametrize(
    ("rounds", "levels"), [(True, [0, 0, 255, 255]), (False, [0, 128, 129, 255])]
)
def test_alpha_is_rounded_where_asked(rounds: bool, levels: list[int]) -> None:
    image = Image.new("RGBA", (4, 1))
    image.putalpha(Image.frombytes("L", (4, 1), bytes([0, 128, 129, 255])))
    assert list(read_mask(image, rounds=rounds).tobytes()) == levels


def test_grey_stays_grey() -> None:
    assert read_mask(Image.new("L", (2, 2), 100)).getextrema() == (100, 100)


def test_blur_spreads_along_its_axis_only() -> None:
    wide = np.asarray(blur_mask(square(), 3, 0))
    assert wide[:8].max() == 0
    assert wide[12, 8] > 0
    tall = np.asarray(blur_mask(square(), 0, 3))
    assert tall[:, :10].max() == 0
    assert tall[6, 15] > 0


def test_blur_keeps_the_sum_and_full_masks() -> None:
    assert blur_mask(Image.new("L", SIZE, 255), 4, 4).getextrema() == (255, 255)
    blurred = np.asarray(blur_mask(square(), 1, 1)).astype(int)
    assert abs(blurred.sum() - 100 * 255) < 100 * 255 * 0.01
    assert blurred[13, 15] == 255


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (3, 3)])
def test_blur_wider_than_the_mask_is_survived(size: tuple[int, int]) -> None:
    assert blur_mask(Image.new("L", size, 255), 20, 20).getextrema() == (255, 255)


def test_blur_has_the_kernel_of_opencv() -> None:
    """cv2.GaussianBlur(dot, (7, 1), 1.0) of OpenCV 4.x, to one level."""
    dot = Image.new("L", (9, 1))
    dot.putpixel((4, 0), 255)
    found = list(blur_mask(dot, 1, 0).tobytes())
    wanted = [0, 1, 14, 62, 102, 62, 14, 1, 0]
    assert max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 1


def test_box_and_padding_end_at_the_edges() -> None:
    assert marked_box(square()) == Box(10, 8, 20, 18)
    assert marked_box(square(), 9) == Box(1, 0, 29, 27)
    assert marked_box(Image.new("L", SIZE)) is None


@pytest.mark.parametrize("target", [(512, 512), (512, 128), (64, 640), (8, 8192)])
@pytest.mark.parametrize("box", [Box(10, 8, 20, 18), Box(0, 0, 40, 30), Box(39, 29, 40, 30)])
def test_box_gets_the_aspect_as_far_as_there_is_room(box: Box, target: tuple[int, int]) -> None:
    found = with_aspect(box, target, SIZE)
    assert found.left >= 0
    assert found.top >= 0
    assert found.right <= SIZE[0]
    assert found.bottom <= SIZE[1]
    assert found.left <= box.left
    assert found.right >= box.right
    assert found.top <= box.top
    assert found.bottom >= box.bottom
    fills_an_axis = found.width == SIZE[0] or found.height == SIZE[1]
    off = abs(found.width / found.height - target[0] / target[1])
    assert fills_an_axis or off < 0.2 * target[0] / target[1]


def test_invert_and_strengthen() -> None:
    assert invert_mask(square()).getpixel((0, 0)) == 255
    assert strengthen_mask(Image.new("L", (1, 1), 100)).getpixel((0, 0)) == 200
    assert strengthen_mask(Image.new("L", (1, 1), 200)).getpixel((0, 0)) == 255


def test_fill_leaves_the_rest_and_continues_its_colours() -> None:
    image = Image.new("RGB", SIZE, (200, 40, 40))
    image.paste((0, 0, 255), (10, 8, 20, 18))
    filled = np.asarray(fill_marked(image, square())).astype(int)
    assert np.abs(filled - (200, 40, 40)).max() <= 3


def test_kept_part_laid_over_gives_back_the_kept_pixels() -> None:
    image = coloured()
    result = lay_over(Image.new("RGB", SIZE), kept_part(image, square()))
    marked = np.asarray(square()) == 255
    assert np.array_equal(np.asarray(result)[~marked], np.asarray(image)[~marked])
    assert np.asarray(result)[marked].max() == 0


def test_only_marked_hides_the_rest() -> None:
    shown = only_marked(coloured(), square())
    assert shown.getchannel("A").tobytes() == square().tobytes()


def test_put_into_fills_its_place_and_nothing_else() -> None:
    place = Box(10, 8, 20, 18)
    canvas = put_into(Image.new("RGB", (64, 64), "red"), place, SIZE)
    assert canvas.size == SIZE
    assert canvas.getchannel("A").tobytes() == square().tobytes()
