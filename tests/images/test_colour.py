"""Colour correction: CIELAB in 8 bits, histograms matched, own luminosity kept."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from modules.images.colour import correct_colours, lab_of

SIZE = (48, 32)


def noise(seed: int, low: int = 0, high: int = 256) -> Image.Image:
    levels = np.random.default_rng(seed).integers(low, high, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    return Image.fromarray(levels)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [((0, 0, 0), (0, 128, 128)), ((255, 255, 255), (255, 128, 128)),
     ((255, 0, 0), (136, 208, 195)), ((0, 255, 0), (224, 42, 211)),
     ((0, 0, 255), (82, 207, 20)), ((128, 128, 128), (137, 128, 128))],
)  # fmt: skip
def test_lab_is_that_of_opencv(rgb: tuple[int, int, int], lab: tuple[int, int, int]) -> None:
    """cv2.cvtColor(…, COLOR_RGB2LAB) of these colours."""
    assert tuple(lab_of(Image.new("RGB", (1, 1), rgb))[0, 0]) == lab


def test_own_colours_change_next_to_nothing() -> None:
    image = noise(0)
    found = np.asarray(correct_colours(image, lab_of(image))).astype(int)
    assert np.abs(found - np.asarray(image)).mean() < 2  # two roundings of CIELAB


def test_colours_come_from_the_target_and_brightness_stays() -> None:
    image, target = noise(1, 60, 180), Image.new("RGB", SIZE, (220, 60, 60))
    found = np.asarray(correct_colours(image, lab_of(target)), dtype=np.float32)
    luma = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    assert np.abs(found @ luma - np.asarray(image) @ luma).mean() < 2
    assert (found[..., 0] > found[..., 2]).mean() > 0.95


def test_target_may_have_another_size() -> None:
    target = lab_of(noise(2).resize((5, 7)))
    assert correct_colours(noise(3), target).size == SIZE


def test_mode_of_the_picture_does_not_matter() -> None:
    image, target = noise(4), lab_of(noise(5))
    assert correct_colours(image.convert("RGBA"), target).tobytes() == (
        correct_colours(image, target).tobytes()
    )
