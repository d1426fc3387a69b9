"""SD upscale: the picture is enlarged, and img2img paints it anew tile by tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from easel_img2img import arguments
from easel_img2img.painting import Part, Results, batches, paint
from easel_img2img.start import own_p, start_picture
from PIL import Image

from modules.core.errors import BadInput
from modules.extensions import Processed, Script
from modules.images.tiles import Tiles, join_tiles, tile_boxes
from modules.postprocess import NONE, PIXEL_UPSCALERS, Upscalers
from modules.processing.p import next_seed

NOTE = (
    '<p class="easel-note">Will upscale the image by the selected scale factor; '
    "use width and height sliders to set tile size</p>"
)
OVERLAP, UPSCALER, SCALE = "Tile overlap", "Upscaler", "Scale Factor"
MOST_OVERLAP = 4096
MOST_SCALE = 16
CELL = 8
"""The enlarged picture's sides are multiples of this (px)."""


def enlarged_size(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """(width, height) of a picture of `size` made `factor` times larger, in whole cells.

    >>> enlarged_size((100, 64), 1.5)
    (144, 96)
    """
    width, height = (max(int(side * factor) // CELL, 1) * CELL for side in size)
    return width, height


def enlarge(
    picture: Image.Image,
    upscaler: str,
    factor: float,
    upscalers: Upscalers,
    settings: Mapping[str, Any],
) -> Image.Image:
    """The picture by one of the upscalers, with the job's settings; "None" leaves its size."""
    if upscaler == NONE:
        return picture
    size = enlarged_size(picture.size, factor)
    return upscalers.upscale(picture, upscaler, size, settings=settings)


class SDUpscale(Script):
    """Enlarges a picture and lets img2img fill in detail; width and height are a tile's."""

    def title(self) -> str:
        """The name in the menu."""
        return "SD upscale"

    def show(self, is_img2img: bool) -> bool:
        """In img2img alone."""
        return is_img2img

    def ui(self, is_img2img: bool) -> list[Any]:
        """The script's fields; the note is an argument too, as in A1111."""
        import gradio as gr

        at = self.elem_id
        return [
            gr.HTML(NOTE, padding=False),
            gr.Slider(0, 256, value=64, step=16, label=OVERLAP, elem_id=at("overlap")),
            gr.Radio(
                self._names(), value=NONE, label=UPSCALER,
                elem_id=at("upscaler_index"),
            ),
            gr.Slider(1, 4, value=2.0, step=0.05, label=SCALE, elem_id=at("scale_factor")),
        ]  # fmt: skip

    def check_arguments(self, note: Any, overlap: Any, upscaler: Any, scale: Any) -> None:
        """Raises BadInput for bad arguments; which upscalers there are shows when it runs."""
        arguments.whole(OVERLAP, overlap, 0, MOST_OVERLAP)
        arguments.number(SCALE, scale, 1, MOST_SCALE)

    def _names(self) -> list[str]:
        """Those of the running program on a page; without one, those that need no file."""
        found = self.menu_names("upscalers") if self.menu_names else ()
        return list(found or PIXEL_UPSCALERS)

    def run(self, p: Any, note: Any, overlap: Any, upscaler: Any, scale: Any) -> Processed:
        """Raises BadInput for bad arguments, and where a tile is not larger than the overlap."""
        overlap = arguments.whole(OVERLAP, overlap, 0, MOST_OVERLAP)
        upscalers = p.job.models.upscalers
        upscaler = upscalers.check(arguments.one_of(UPSCALER, upscaler, upscalers.names()))
        scale = arguments.number(SCALE, scale, 1, MOST_SCALE)
        picture = start_picture(p)
        size = picture.size if upscaler == NONE else enlarged_size(picture.size, scale)
        arguments.check_size(SCALE, scale, *size)
        boxes = _tiles(size, p, overlap)
        if p.image_mask is not None:
            p.job.warn("SD upscale paints the whole picture; the mask was left out.")
        picture = enlarge(picture, upscaler, scale, upscalers, p.settings)
        parts = [Part(picture.crop(box)) for row in boxes for box in row]
        p.job.expect(batches(len(parts), p.batch_size) * p.n_iter)
        noted = {"SD upscale overlap": overlap, "SD upscale upscaler": upscaler}
        own = own_p(p, **noted)
        results, begin = Results(own), own.seed
        for number in range(p.n_iter):
            seed = own.seed = next_seed(begin, number)
            painted = paint(own, parts, p.batch_size)
            if not painted.infotext:
                break
            whole = join_tiles(boxes, _in_rows(painted.images, boxes), overlap)
            results.add(whole, painted.infotext, seed, is_whole=painted.is_whole)
        return results.processed()


def _tiles(size: tuple[int, int], p: Any, overlap: int) -> Tiles:
    try:
        return tile_boxes(size, (p.width, p.height), overlap)
    except ValueError:
        allowed = f"less than a tile's width and height ({p.width}x{p.height}) is needed"
        raise BadInput(OVERLAP, overlap, allowed) from None


def _in_rows(images: Sequence[Image.Image], boxes: Tiles) -> list[list[Image.Image]]:
    left = iter(images)
    return [[next(left) for _ in row] for row in boxes]
