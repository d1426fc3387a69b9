"""Masks: which part of a picture is painted anew. White (255) is, black (0) is kept.

All masks made here are mode L. Numbers and borders are A1111 1.10 behaviour.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from modules.images.resize import ResizeMode, resize_image

HALF = 128
"""Alpha above this counts as marked."""

FILL_STEPS: tuple[tuple[int, int], ...] = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))
"""(radius of the blur in pixels, how often it is laid on), coarse to fine."""


class Box(NamedTuple):
    """A part of a picture in pixels; right and bottom are the first ones outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.bottom - self.top


def read_mask(image: Image.Image, *, rounds: bool = True) -> Image.Image:
    """The mask in a picture of any mode: its alpha where it has holes, else its brightness.

    rounds: an alpha becomes black or white; grey masks stay grey in any case.
    """
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema() != (255, 255):
            return alpha.point(lambda level: 255 if level > HALF else 0) if rounds else alpha
        image = image.convert("RGB")
    return image.convert("L")


def invert_mask(mask: Image.Image) -> Image.Image:
    """What was kept is painted anew, and the other way round."""
    return ImageOps.invert(mask)


def blur_mask(mask: Image.Image, x: float, y: float) -> Image.Image:
    """The mask with soft edges; x and y are standard deviations in pixels, 0 leaves an axis."""
    levels = np.asarray(mask.convert("L"))
    if x > 0:
        levels = _blur_rows(levels, x)
    if y > 0:
        levels = _blur_rows(levels.T, y).T
    return Image.fromarray(np.ascontiguousarray(levels))


def strengthen_mask(mask: Image.Image) -> Image.Image:
    """Twice as white: what is half marked is wholly taken from the new picture."""
    return mask.point(lambda level: min(level * 2, 255))


def marked_box(mask: Image.Image, padding: int = 0) -> Box | None:
    """The smallest box round everything marked, `padding` pixels wider; None for a blank mask."""
    found = mask.getbbox()
    if found is None:
        return None
    left, top, right, bottom = found
    return Box(
        max(left - padding, 0),
        max(top - padding, 0),
        min(right + padding, mask.width),
        min(bottom + padding, mask.height),
    )


def with_aspect(box: Box, target: tuple[int, int], within: tuple[int, int]) -> Box:
    """`box` made wider or higher until it has the proportions of `target`, as far as there is room.

    target, within: (width, height) of what is painted, and of the whole picture.

    >>> with_aspect(Box(10, 10, 30, 50), (512, 512), (100, 100))
    Box(left=0, top=10, right=40, bottom=50)
    >>> with_aspect(Box(80, 0, 100, 100), (512, 512), (100, 100))
    Box(left=0, top=0, right=100, bottom=100)
    """
    width, height = target
    if box.width * height > box.height * width:
        wanted = int(box.width * height / width)
        top, bottom = _grow(box.top, box.bottom, wanted, within[1])
        return box._replace(top=top, bottom=bottom)
    wanted = int(box.height * width / height)
    left, right = _grow(box.left, box.right, wanted, within[0])
    return box._replace(left=left, right=right)


def fill_marked(image: Image.Image, mask: Image.Image) -> Image.Image:
    """RGB picture whose marked part continues the colours around it, coarse to fine."""
    kept = _premultiplied(image, mask)
    filled = Image.new("RGBA", image.size)
    for radius, times in FILL_STEPS:
        layer = kept.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(times):
            filled.alpha_composite(layer)
    return filled.convert("RGB")


def kept_part(image: Image.Image, mask: Image.Image) -> Image.Image:
    """RGBA picture with a hole where the mask is white; it is laid over the finished picture."""
    return _premultiplied(image, mask).convert("RGBA")


def only_marked(image: Image.Image, mask: Image.Image) -> Image.Image:
    """RGBA picture that shows nothing where the mask is black."""
    mask = resize_image(mask, image.width, image.height, ResizeMode.FILL)
    blank = Image.new("RGBa", image.size)
    return Image.composite(_rgba_premultiplied(image), blank, mask.convert("L")).convert("RGBA")


def put_into(image: Image.Image, place: Box, size: tuple[int, int]) -> Image.Image:
    """RGBA canvas of `size` (width, height) with `image` scaled and cropped into `place`."""
    canvas = Image.new("RGBA", size)
    canvas.paste(
        resize_image(image, place.width, place.height, ResizeMode.CROP), (place.left, place.top)
    )
    return canvas


def lay_over(image: Image.Image, overlay: Image.Image) -> Image.Image:
    """RGB picture: `overlay` (RGBA, same size) over `image`."""
    return Image.alpha_composite(image.convert("RGBA"), overlay).convert("RGB")


def _blur_rows(levels: np.ndarray, deviation: float) -> np.ndarray:
    """(H, W) uint8 blurred along W by a kernel of 2.5 deviations; mirrored at the edges."""
    reach = int(2.5 * deviation + 0.5)
    if reach == 0 or levels.shape[1] == 1:
        return levels
    offsets = np.arange(-reach, reach + 1, dtype=np.float64)
    kernel = np.exp(-(offsets**2) / (2 * deviation**2))
    kernel /= kernel.sum()
    padded = np.pad(levels.astype(np.float32), ((0, 0), (reach, reach)), mode="reflect")
    width = levels.shape[1]
    total = np.zeros(levels.shape, dtype=np.float32)
    for place, weight in enumerate(kernel.astype(np.float32)):
        total += weight * padded[:, place : place + width]
    return np.rint(total).clip(0, 255).astype(np.uint8)


def _grow(start: int, end: int, wanted: int, limit: int) -> tuple[int, int]:
    """start..end made `wanted` long about its middle, moved back into 0..limit, cut at both."""
    more = wanted - (end - start)
    start -= more // 2
    end += more - more // 2
    if end >= limit:
        start, end = start - (end - limit), limit
    if start < 0:
        start, end = 0, end - start
    return start, min(end, limit)


def _premultiplied(image: Image.Image, mask: Image.Image) -> Image.Image:
    """RGBa picture with a hole where the mask is white."""
    canvas = Image.new("RGBa", image.size)
    canvas.paste(_rgba_premultiplied(image), mask=ImageOps.invert(mask.convert("L")))
    return canvas


def _rgba_premultiplied(image: Image.Image) -> Image.Image:
    return image.convert("RGBA").convert("RGBa")
