"""Bringing a picture to a size: stretch, crop or fill, as img2img's resize modes have it."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from PIL import Image

Enlarge = Callable[[Image.Image, float], Image.Image]
"""An upscaler: (RGB picture, factor > 1) → a picture about that many times larger."""


class ResizeMode(IntEnum):
    """A1111's REST values. LATENT resizes the latent later; the picture itself is stretched."""

    STRETCH = 0
    CROP = 1
    FILL = 2
    LATENT = 3


def resize_image(
    image: Image.Image,
    width: int,
    height: int,
    mode: ResizeMode = ResizeMode.STRETCH,
    *,
    enlarge: Enlarge | None = None,
) -> Image.Image:
    """`image` (any 8-bit mode) as `width` × `height` pixels, by Lanczos.

    CROP covers the target and cuts off what sticks out, FILL fits inside it and continues
    the edges outwards; both centre. enlarge: used before Lanczos where the picture grows.
    """
    if mode is ResizeMode.CROP:
        return _cropped(image, width, height, enlarge)
    if mode is ResizeMode.FILL:
        return _filled(image, width, height, enlarge)
    return _stretched(image, width, height, enlarge)


def _stretched(image: Image.Image, width: int, height: int, enlarge: Enlarge | None) -> Image.Image:
    factor = max(width / image.width, height / image.height)
    if enlarge is not None and factor > 1 and image.mode != "L":
        image = enlarge(image, factor)
    if image.size == (width, height):
        return image.copy()
    if image.mode in ("P", "1"):  # Lanczos cannot mix palette numbers
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _cropped(image: Image.Image, width: int, height: int, enlarge: Enlarge | None) -> Image.Image:
    is_wider = width * image.height > height * image.width  # the target, than the picture
    inner_width = width if is_wider else image.width * height // image.height
    inner_height = image.height * width // image.width if is_wider else height
    inner = _stretched(image, max(inner_width, width), max(inner_height, height), enlarge)
    left = inner.width // 2 - width // 2
    top = inner.height // 2 - height // 2
    return inner.crop((left, top, left + width, top + height))


def _filled(image: Image.Image, width: int, height: int, enlarge: Enlarge | None) -> Image.Image:
    is_taller = width * image.height < height * image.width  # the target, than the picture
    inner_width = width if is_taller else max(image.width * height // image.height, 1)
    inner_height = max(image.height * width // image.width, 1) if is_taller else height
    inner = _stretched(image, inner_width, inner_height, enlarge)
    left = width // 2 - inner.width // 2
    top = height // 2 - inner.height // 2
    result = Image.new(inner.mode, (width, height))
    if is_taller:
        _fill_rows(result, inner.crop((0, 0, width, 1)), 0, top)
        last = inner.crop((0, inner.height - 1, width, inner.height))
        _fill_rows(result, last, top + inner.height, height)
    else:
        _fill_columns(result, inner.crop((0, 0, 1, height)), 0, left)
        last = inner.crop((inner.width - 1, 0, inner.width, height))
        _fill_columns(result, last, left + inner.width, width)
    result.paste(inner, (left, top))
    return result


def _fill_rows(result: Image.Image, row: Image.Image, start: int, end: int) -> None:
    if end > start:
        band = row.resize((result.width, end - start), Image.Resampling.NEAREST)
        result.paste(band, (0, start))


def _fill_columns(result: Image.Image, column: Image.Image, start: int, end: int) -> None:
    if end > start:
        band = column.resize((end - start, result.height), Image.Resampling.NEAREST)
        result.paste(band, (start, 0))
