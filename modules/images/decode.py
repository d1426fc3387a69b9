"""Pictures from outside: bytes, base64 and data URIs, checked before they are believed."""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from modules.core.errors import UnsupportedImage

MAX_PIXELS: Final = 128_000_000
"""Largest picture taken in; as RGB it fills 384 MB."""
MAX_BYTES: Final = 256 * 1024 * 1024
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
_ALLOWED: Final = "a PNG, JPEG, WebP, AVIF, GIF, BMP or TIFF picture is needed"
_DATA_URI: Final = re.compile(r"data:[\w.+/-]*(?:;[\w.+=-]+)*;base64,", re.IGNORECASE)
_LYING: Final = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
_WIDE_MODES: Final = ("I;16", "I;16B", "I;16L", "I;16N")

_DAMAGE: Final = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, RuntimeError)
"""What PIL's readers raise for damaged files."""


def decode_base64(text: str, *, field: str = "image", max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture in `text`: base64, with or without `data:image/png;base64,` before it.

    Raises UnsupportedImage, naming `field`, like decode_image.
    """
    return decode_image(_bytes_of(text, field), field=field, max_pixels=max_pixels)


def measure_base64(text: str, *, field: str = "image") -> tuple[int, int]:
    """(width, height) of the picture in `text`, upright, from its header; no pixel is decoded.

    Raises UnsupportedImage, naming `field`, for what is no picture or has too many pixels.
    """
    with _damage_told(data := _bytes_of(text, field), field, MAX_PIXELS):
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        _check_extent(image, field, MAX_PIXELS)
        # PIL turns a TIFF by itself, and would decode a PNG to look for EXIF behind its pixels.
        is_told = image.format != "PNG" or "exif" in image.info
        is_lying = (
            image.format != "TIFF"
            and is_told
            and image.getexif().get(ExifTags.Base.Orientation, 1) in _LYING
        )
    return (image.height, image.width) if is_lying else image.size


def _bytes_of(text: str, field: str) -> bytes:
    """The file in base64; UnsupportedImage for what is none, or is too large."""
    text = text.strip()
    prefix = _DATA_URI.match(text)
    if prefix is not None:
        text = text[prefix.end() :]
    if not text:
        raise UnsupportedImage(field, "nothing", _ALLOWED)
    if len(text) > MAX_BYTES * 4 // 3 + 4:
        raise UnsupportedImage(field, f"{len(text)} characters", _size_limit())
    compact = re.sub(r"\s+", "", text).rstrip("=")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnsupportedImage(field, text[:40], "it must be a picture in base64") from error


def decode_image(data: bytes, *, field: str = "image", max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture in `data`, loaded, upright (EXIF orientation applied), 8 bits a channel.

    Modes L, LA, P, RGB, RGBA, CMYK … stay as they are; `.info` and `.format` are kept for
    metadata.read. Raises UnsupportedImage, naming `field`, for what is no picture, is cut off,
    is animated, or has more than `max_pixels` pixels.
    """
    with _damage_told(data, field, max_pixels):
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        _check_extent(image, field, max_pixels)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    return _eight_bits(image)


@contextmanager
def _damage_told(data: bytes, field: str, max_pixels: int) -> Iterator[None]:
    """UnsupportedImage for what PIL's readers raise within the block, and for too many bytes."""
    if len(data) > MAX_BYTES:
        raise UnsupportedImage(field, f"{len(data)} bytes", _size_limit())
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnsupportedImage(field, "a picture", _pixel_limit(max_pixels)) from error
    except UnidentifiedImageError as error:
        raise UnsupportedImage(field, f"{len(data)} bytes", _ALLOWED) from error
    except _DAMAGE as error:
        raise UnsupportedImage(
            field, f"{len(data)} bytes", f"the file is damaged: {error}"
        ) from error


def _check_extent(image: Image.Image, field: str, max_pixels: int) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a camera's JPEG with a preview beside it
        what = f"{image.format} with {frames} frames"
        raise UnsupportedImage(field, what, "a still picture is needed, not an animation")
    if image.width * image.height > max_pixels:
        what = f"{image.width}x{image.height}"
        raise UnsupportedImage(field, what, _pixel_limit(max_pixels))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey with 16 or 32 bits as L; PIL's own conversion would clip it at 255."""
    if image.mode in _WIDE_MODES:
        wide = image.convert("I")
        return wide.point(lambda value: value * (1 / 256)).convert("L")
    return image


def _pixel_limit(max_pixels: int) -> str:
    return f"at most {max_pixels / 1e6:g} million pixels are allowed"


def _size_limit() -> str:
    return f"at most {MAX_BYTES // 2**20} MiB are allowed"
