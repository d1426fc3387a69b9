"""What people draw on pictures: masks and colours of a brush, and canvases that grow.

Masks are mode L; white (255) is painted anew, black (0) is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageChops, ImageFilter

from modules.images.masks import fill_marked


class Margins(NamedTuple):
    """How far a canvas grows to each side, in pixels."""

    left: int = 0
    right: int = 0
    up: int = 0
    down: int = 0


def drawn_mask(layers: Sequence[Image.Image], size: tuple[int, int]) -> Image.Image:
    """Everything that was drawn on any of the layers, of `size` (width, height).

    A brush that lets the picture shine through marks as wholly as an opaque one: half of the
    strongest alpha is the border.
    """
    mask = Image.new("L", size)
    for layer in layers:
        alpha = layer.convert("RGBA").getchannel("A")
        border = max(alpha.tobytes(), default=0) / 2
        if border:
            marked = alpha.point([255 if level > border else 0 for level in range(256)])
            mask = ImageChops.lighter(mask, marked.resize(size, Image.Resampling.NEAREST))
    return mask


def is_blank(mask: Image.Image) -> bool:
    """Whether a mask marks nothing."""
    return mask.getbbox() is None


def with_drawing(image: Image.Image, layers: Sequence[Image.Image]) -> Image.Image:
    """The picture (any mode) as RGBA with the layers' colours laid over it."""
    result = image.convert("RGBA")
    for layer in layers:
        drawn = layer.convert("RGBA").resize(image.size, Image.Resampling.BILINEAR)
        result = Image.alpha_composite(result, drawn)
    return result


def blend_drawing(
    image: Image.Image, drawn: Image.Image, mask: Image.Image, radius: float
) -> Image.Image:
    """`image` (RGB) that turns into `drawn` where the mask is, with edges `radius` pixels soft."""
    soft = mask.filter(ImageFilter.GaussianBlur(radius)) if radius else mask
    return Image.composite(drawn.convert("RGB"), image.convert("RGB"), soft)


def weaken_mask(mask: Image.Image, transparency: float) -> Image.Image:
    """The mask with `transparency` (0 to 100 %) taken off: the marked part changes less."""
    return mask.point(lambda level: round(level * (1 - transparency / 100)))


def extend_picture(
    image: Image.Image, margins: Margins, *, overlap: int = 0
) -> tuple[Image.Image, Image.Image]:
    """A larger RGB picture around `image`, and the mask of what is new.

    The new part continues the colours at the edges. overlap: how many pixels of the old picture
    the mask takes in along each grown edge, so that no seam remains.
    """
    old = image.convert("RGB")
    size = (
        old.width + margins.left + margins.right,
        old.height + margins.up + margins.down,
    )
    picture = Image.new("RGB", size)
    picture.paste(old, (margins.left, margins.up))
    bare = Image.new("L", size, 255)
    bare.paste(0, (margins.left, margins.up, margins.left + old.width, margins.up + old.height))
    mask = Image.new("L", size, 255)
    kept = (
        margins.left + (overlap if margins.left else 0),
        margins.up + (overlap if margins.up else 0),
        margins.left + old.width - (overlap if margins.right else 0),
        margins.up + old.height - (overlap if margins.down else 0),
    )
    if kept[0] < kept[2] and kept[1] < kept[3]:
        mask.paste(0, kept)
    filled = fill_marked(picture, bare)
    filled.paste(old, (margins.left, margins.up))
    return filled, mask
