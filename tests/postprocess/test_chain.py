"""The extras chain: sizes, mixing, cropping, and the words for it."""

from __future__ import annotations

import pytest
from PIL import Image

from modules.core.errors import BadInput
from modules.postprocess import Upscaling, upscale_picture


def shade(image: Image.Image, name: str, size: tuple[int, int]) -> Image.Image:
    """A plain picture whose level the upscaler's name says."""
    return Image.new("RGB", size, {"a": (100,) * 3, "b": (200,) * 3}[name])


@pytest.mark.parametrize(
    ("upscaling", "size", "wanted"),
    [
        (Upscaling("a"), (10, 6), (20, 12)),
        (Upscaling("a", 1.25), (10, 7), (12, 8)),
        (Upscaling("a", 0.01), (10, 7), (1, 1)),
        (Upscaling("a", 4, max_side=20), (10, 5), (20, 10)),
        (Upscaling("a", 4, max_side=100), (10, 5), (40, 20)),
        (Upscaling("a", to=(100, 50)), (10, 10), (100, 50)),
        (Upscaling("a", to=(100, 50), crops=False), (10, 10), (100, 100)),
        (Upscaling("a", to=(33, 77), crops=False), (64, 64), (77, 77)),
        (Upscaling("a", to=(7, 7)), (63, 65), (7, 7)),
        (Upscaling("None", 4), (10, 5), (10, 5)),
    ],
)
def test_sizes(upscaling: Upscaling, size: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert upscale_picture(Image.new("RGB", size), upscaling, shade).size == wanted


@pytest.mark.parametrize(("share", "level"), [(0.0, 100), (0.5, 150), (1.0, 200)])
def test_second_upscaler_is_mixed_in(share: float, level: int) -> None:
    upscaling = Upscaling("a", second="b", second_visibility=share)
    made = upscale_picture(Image.new("RGB", (4, 4)), upscaling, shade)
    assert made.getpixel((3, 3)) == (level,) * 3


def test_crop_keeps_the_middle() -> None:
    picture = Image.new("RGB", (3, 1))
    picture.putdata([(0, 0, 0), (255, 255, 255), (9, 9, 9)])
    nearest = Upscaling("a", to=(2, 2))
    made = upscale_picture(picture, nearest, lambda i, n, s: i.resize(s, Image.Resampling.NEAREST))
    assert made.tobytes() == b"\xff" * 12


@pytest.mark.parametrize(
    ("upscaling", "text"),
    [
        (Upscaling("a", 4), "Postprocess upscale by: 4, Postprocess upscaler: a"),
        (Upscaling("a", 1.5, max_side=99),
         "Postprocess upscale by: 1.5, Postprocess max side length: 99, Postprocess upscaler: a"),
        (Upscaling("Nearest", to=(100, 50)), "Postprocess upscale to: 100x50, "
         "Postprocess crop to: 100x50, Postprocess upscaler: Nearest"),
        (Upscaling("a", to=(100, 50), crops=False, second="b", second_visibility=0.25),
         "Postprocess upscale to: 100x50, Postprocess upscaler: a, Postprocess upscaler 2: b, "
         "Postprocess upscaler 2 visibility: 0.25"),
        (Upscaling("a", second="b"), "Postprocess upscale by: 2, Postprocess upscaler: a"),
        (Upscaling("None", 4), ""),
    ],
)  # fmt: skip
def test_words(upscaling: Upscaling, text: str) -> None:
    assert ", ".join(f"{name}: {value}" for name, value in upscaling.pairs().items()) == text


@pytest.mark.parametrize(
    ("upscaling", "field"),
    [(Upscaling("a", 100), "upscaling_resize"),
     (Upscaling("a", to=(20000, 20000)), "upscaling_resize_w")],
)  # fmt: skip
def test_result_that_is_too_large_is_refused(upscaling: Upscaling, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        upscale_picture(Image.new("RGB", (600, 600)), upscaling, shade)
    assert caught.value.field == field
