"""Pictures to bytes."""

import io

import pytest
from PIL import Image

from modules.core.errors import UnsupportedImage
from modules.images.encode import FORMATS, encode_image

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16")


@pytest.mark.parametrize("format", list(FORMATS))
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_written_in_every_format(format: str, mode: str) -> None:
    data = encode_image(Image.new(mode, (20, 10)), format)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.size == (20, 10)
        assert image.format == FORMATS[format].pil_name


def test_png_keeps_every_pixel() -> None:
    image = Image.merge("RGBA", [Image.effect_noise((33, 17), 80) for _ in range(4)])
    with Image.open(io.BytesIO(encode_image(image, "png"))) as found:
        assert found.mode == "RGBA"
        assert found.tobytes() == image.tobytes()


def test_lossless_webp_keeps_every_pixel() -> None:
    image = Image.merge("RGB", [Image.effect_noise((33, 17), 80) for _ in range(3)])
    with Image.open(io.BytesIO(encode_image(image, "webp", lossless=True))) as found:
        assert found.convert("RGB").tobytes() == image.tobytes()


def test_jpeg_lays_transparency_on_white() -> None:
    data = encode_image(Image.new("RGBA", (16, 16), (0, 0, 0, 0)), "jpg", quality=95)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getpixel((8, 8)) == (255, 255, 255)


def test_quality_changes_the_size() -> None:
    image = Image.effect_noise((128, 128), 60)
    assert len(encode_image(image, "jpg", quality=20)) < len(encode_image(image, "jpg", quality=95))


def test_unknown_format_names_what_is_allowed() -> None:
    with pytest.raises(UnsupportedImage, match=r"format: 'bmpx' cannot be used; allowed are png"):
        encode_image(Image.new("RGB", (8, 8)), "bmpx")


def test_side_beyond_the_format_is_refused_with_its_limit() -> None:
    with pytest.raises(UnsupportedImage, match=r"16384x1.*webp holds 16383 pixels"):
        encode_image(Image.new("L", (16_384, 1)), "webp")
