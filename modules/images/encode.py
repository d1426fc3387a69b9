"""Pictures to bytes in the formats that the program writes, with their texts."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from PIL import Image

from modules.core.errors import UnsupportedImage
from modules.images.flatten import flatten, has_transparency
from modules.images.metadata import DigitalSource, metadata_arguments


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """One row of the format table."""

    pil_name: str
    extension: str
    mime: str
    max_side: int
    modes: frozenset[str]
    has_alpha: bool


_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_RGB_MODES = frozenset({"RGB", "RGBA"})

FORMATS: Final[dict[str, ImageFormat]] = {
    "png": ImageFormat("PNG", "png", "image/png", 2**31 - 1, _PNG_MODES, True),
    "jpg": ImageFormat("JPEG", "jpg", "image/jpeg", 65_535, frozenset({"L", "RGB"}), False),
    "jpeg": ImageFormat("JPEG", "jpeg", "image/jpeg", 65_535, frozenset({"L", "RGB"}), False),
    "webp": ImageFormat("WEBP", "webp", "image/webp", 16_383, _RGB_MODES, True),
    "avif": ImageFormat("AVIF", "avif", "image/avif", 65_535, _RGB_MODES, True),
    "gif": ImageFormat("GIF", "gif", "image/gif", 65_535, frozenset({"L", "P", "RGB"}), False),
}


def image_format(name: str) -> ImageFormat:
    """The row for a file extension or a setting's value, such as `png`, `.JPG`.

    Raises UnsupportedImage for a format that is not written here.
    """
    found = FORMATS.get(name.lower().lstrip("."))
    if found is None:
        raise UnsupportedImage("format", name, f"allowed are {', '.join(FORMATS)}")
    return found


def encode_image(
    image: Image.Image,
    format: str = "png",
    infotext: str = "",
    quality: int = 80,
    *,
    lossless: bool = False,
    extra: Mapping[str, str] | None = None,
    source: DigitalSource | None = DigitalSource.GENERATED,
) -> bytes:
    """`image` (any mode) as the bytes of a file.

    quality: 1..100, for jpg, webp and avif. lossless: webp only. extra: more PNG text chunks.
    source: how the picture was made, None to say nothing. Raises UnsupportedImage for an
    unknown format and for sides that the format cannot hold.
    """
    row = image_format(format)
    if max(image.size) > row.max_side:
        size = f"{image.width}x{image.height}"
        raise UnsupportedImage("image", size, f"{row.extension} holds {row.max_side} pixels a side")
    arguments = metadata_arguments(row.pil_name, infotext, extra=extra, source=source)
    if row.pil_name in ("JPEG", "WEBP", "AVIF"):
        arguments["quality"] = quality
    if row.pil_name == "WEBP":
        arguments["lossless"] = lossless
    buffer = io.BytesIO()
    _writable(image, row).save(buffer, row.pil_name, **arguments)
    return buffer.getvalue()


def _writable(image: Image.Image, row: ImageFormat) -> Image.Image:
    """`image` in a mode that the format stores, on white where it cannot store transparency."""
    if image.mode in row.modes and (row.has_alpha or not has_transparency(image)):
        return image
    if not has_transparency(image):
        return image.convert("RGB")
    return image.convert("RGBA") if row.has_alpha else flatten(image)
