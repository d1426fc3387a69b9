"""Resize modes."""

import pytest
from PIL import Image

from modules.images.resize import ResizeMode, resize_image

SIZES = [(64, 64), (100, 30), (30, 100), (63, 65), (1, 1), (200, 1)]


def striped(width: int, height: int) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", (width, height), (255, 0, 0))
    image.paste((0, 0, 255), (width // 2, 0, width, height))
    return image


@pytest.mark.parametrize("mode", list(ResizeMode))
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("source", [(64, 48), (48, 64), (7, 7), (1, 90)])
def test_result_has_the_size_asked_for(
    mode: ResizeMode, size: tuple[int, int], source: tuple[int, int]
) -> None:
    assert resize_image(striped(*source), *size, mode).size == size


@pytest.mark.parametrize("mode", list(ResizeMode))
def test_same_size_changes_no_pixel(mode: ResizeMode) -> None:
    image = Image.effect_noise((40, 30), 90)
    assert resize_image(image, 40, 30, mode).tobytes() == image.tobytes()


@pytest.mark.parametrize("mode", list(ResizeMode))
def test_one_colour_stays_one_colour(mode: ResizeMode) -> None:
    result = resize_image(Image.new("RGB", (33, 50), (9, 8, 7)), 71, 20, mode)
    assert result.getcolors() == [(71 * 20, (9, 8, 7))]


def test_crop_keeps_the_middle() -> None:
    image = Image.new("RGB", (300, 100), (0, 255, 0))
    image.paste((255, 0, 0), (100, 0, 200, 100))
    assert resize_image(image, 100, 100, ResizeMode.CROP).getcolors() == [(10_000, (255, 0, 0))]


def test_fill_continues_the_edges() -> None:
    result = resize_image(striped(40, 40), 120, 40, ResizeMode.FILL)
    assert result.getpixel((0, 20)) == (255, 0, 0)
    assert result.getpixel((119, 20)) == (0, 0, 255)
    assert result.crop((40, 0, 80, 40)).tobytes() == striped(40, 40).tobytes()
    tall = resize_image(striped(40, 40), 40, 121, ResizeMode.FILL)
    assert [tall.getpixel((0, y)) for y in (0, 120)] == [(255, 0, 0)] * 2


def test_palette_pictures_are_mixed_in_colour() -> None:
    palette = striped(16, 16).convert("P")
    assert resize_image(palette, 8, 8).mode == "RGB"


def test_enlarger_is_used_only_to_grow() -> None:
    factors = []

    def enlarge(image: Image.Image, factor: float) -> Image.Image:
        factors.append(factor)
        return image.resize((image.width * 4, image.height * 4), Image.Resampling.NEAREST)

    assert resize_image(striped(20, 20), 30, 50, enlarge=enlarge).size == (30, 50)
    assert resize_image(striped(20, 20), 10, 20, enlarge=enlarge).size == (10, 20)
    assert resize_image(Image.new("L", (4, 4)), 8, 8, enlarge=enlarge).size == (8, 8)
    assert factors == [2.5]
