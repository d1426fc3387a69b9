from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from modules.interrogate.ground import LONGEST_SIDE, on_white


def disc(ground: tuple[int, int, int], size: int = 64) -> Image.Image:
    image = Image.new("RGB", (size, size), ground)
    ImageDraw.Draw(image).ellipse((size // 4, size // 4, size * 3 // 4, size * 3 // 4), "#d03030")
    return image


def test_plain_ground_becomes_white_and_the_thing_stays() -> None:
    changed = on_white(disc((50, 95, 200)))
    assert changed.getpixel((0, 0)) == (255, 255, 255)
    assert changed.getpixel((32, 32)) == (208, 48, 48)


def test_slightly_uneven_ground_counts_as_plain() -> None:
    pixels = np.asarray(disc((50, 95, 200))).astype(np.int16)
    noisy = pixels + np.random.default_rng(0).integers(-6, 7, pixels.shape)
    changed = on_white(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)))
    assert changed.getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize(
    "image",
    [
        disc((255, 255, 255)),
        Image.linear_gradient("L").convert("RGB"),
        Image.effect_noise((40, 30), 90).convert("RGB"),
    ],
    ids=["white", "gradient", "noise"],
)
def test_other_pictures_stay_as_they_are(image: Image.Image) -> None:
    assert on_white(image) is image


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (2000, 1000)])
def test_any_size_is_taken(size: tuple[int, int]) -> None:
    assert max(on_white(Image.new("RGB", size, "#203040")).size) <= LONGEST_SIDE
