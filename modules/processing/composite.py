"""From a painted part to the finished picture: put back, colours corrected, kept part laid over.

A1111 1.10 behaviour and order.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from modules.core.settings import SettingsView
from modules.images.colour import correct_colours
from modules.images.masks import lay_over, only_marked, put_into
from modules.processing.canvas import Canvas


@dataclass(slots=True)
class MaskOverlayArgs:
    """What postprocess_maskoverlay may replace for the picture at `index` of its batch."""

    index: int
    mask_for_overlay: Image.Image | None
    overlay_image: Image.Image | None


@dataclass(frozen=True, slots=True)
class Piece:
    """A picture to save, to show, or both; the suffix ends its file name."""

    image: Image.Image
    suffix: str = ""
    is_saved: bool = True
    is_shown: bool = True


@dataclass(frozen=True, slots=True)
class Composite:
    """A finished picture and what it was made of."""

    image: Image.Image
    """RGB."""
    mask: Image.Image | None = None
    """RGB; None without a mask."""
    painted: Image.Image | None = None
    """RGBA: only what was painted anew."""
    uncorrected: Image.Image | None = None
    """RGB: before the colours were corrected; None where they were not."""


def compose(image: Image.Image, canvas: Canvas, overlay: MaskOverlayArgs) -> Composite:
    """The finished picture of a result `image` (RGB, the size that was painted)."""
    over, mask = overlay.overlay_image, overlay.mask_for_overlay
    uncorrected = None
    if canvas.colours is not None:
        uncorrected = _laid_over(_placed(image, canvas, over), over)
        image = correct_colours(image, canvas.colours)
    placed = _placed(image, canvas, over)
    if mask is None:
        return Composite(_laid_over(placed, over), uncorrected=uncorrected)
    return Composite(
        image=_laid_over(placed, over),
        mask=mask.convert("RGB"),
        painted=only_marked(placed, mask),
        uncorrected=uncorrected,
    )


def composite_pieces(composite: Composite, settings: SettingsView) -> list[Piece]:
    """What the settings want beside the finished picture itself."""
    pieces = []
    if composite.uncorrected and settings["save_images_before_color_correction"]:
        piece = Piece(composite.uncorrected, "-before-color-correction", is_shown=False)
        pieces.append(piece)
    masks = (
        (composite.mask, "-mask", "save_mask", "return_mask"),
        (composite.painted, "-mask-composite", "save_mask_composite", "return_mask_composite"),
    )
    for image, suffix, saves, shows in masks:
        if image and (settings[saves] or settings[shows]):
            pieces.append(Piece(image, suffix, settings[saves], settings[shows]))
    return pieces


def _placed(image: Image.Image, canvas: Canvas, over: Image.Image | None) -> Image.Image:
    """On the whole picture's size where only a part was painted and the rest is laid over."""
    if over is None or canvas.place is None:
        return image
    return put_into(image, canvas.place, over.size)


def _laid_over(image: Image.Image, over: Image.Image | None) -> Image.Image:
    if over is None:
        return image.convert("RGB")
    if over.size != image.size:  # sides that are no whole number of cells
        over = over.crop((0, 0, *image.size))
    return lay_over(image, over)
