"""Pictures without transparency and without exotic modes."""

from __future__ import annotations

from PIL import Image


def has_transparency(image: Image.Image) -> bool:
    """Whether any pixel could be seen through, by mode or by a palette's transparent colour."""
    return image.has_transparency_data


def flatten(image: Image.Image, background: str = "#ffffff") -> Image.Image:
    """`image` laid on `background` (any PIL colour); any mode in, RGB of the same size out."""
    if not has_transparency(image):
        return image.convert("RGB")
    layer = image.convert("RGBA")
    base = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(base, layer).convert("RGB")
