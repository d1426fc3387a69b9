"""Poor man's outpainting: the canvas grows, and what is new is inpainted tile by tile.

Numbers are A1111 1.10 behaviour, measured on its pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from easel_img2img import arguments
from easel_img2img.painting import Part, Results, paint
from easel_img2img.start import own_p, start_picture
from PIL import Image

from modules.core.errors import BadInput
from modules.extensions import Processed, Script
from modules.images.masks import Box
from modules.images.tiles import Tiles, join_tiles, tile_boxes
from modules.params.img2img import MASKED_CONTENTS

PIXELS, BLUR = "Pixels to expand", "Mask blur"
CONTENT, DIRECTION = "Masked content", "Outpainting direction"
DIRECTIONS = ("left", "right", "up", "down")
MOST_PIXELS = 4096
MOST_BLUR = 256
STEP = 64
"""The sides of the result are multiples of this (px)."""


class Growth(NamedTuple):
    """How a picture grows."""

    size: tuple[int, int]
    """(width, height) of the result."""
    old: Box
    """What is not painted anew; the picture lies at its left upper corner."""

    def mask(self, margin: int) -> Image.Image:
        """L: white what is new, and `margin` pixels more of the old picture."""
        old, (width, height) = self.old, self.size
        kept = Box(
            old.left + margin if old.left else 0,
            old.top + margin if old.top else 0,
            old.right - margin + 1 if old.right < width else width,
            old.bottom - margin + 1 if old.bottom < height else height,
        )
        mask = Image.new("L", self.size, 255)
        if kept.width > 0 and kept.height > 0:
            mask.paste(0, kept)
        return mask


def grown(size: tuple[int, int], pixels: int, directions: Sequence[str]) -> Growth:
    """How a picture of `size` grows by at least `pixels` into each direction.

    >>> grown((160, 128), 64, ["up", "down"])
    Growth(size=(192, 256), old=Box(left=0, top=64, right=192, bottom=192))
    """
    width, left, right = _side(size[0], pixels, "left" in directions, "right" in directions)
    height, top, bottom = _side(size[1], pixels, "up" in directions, "down" in directions)
    return Growth((width, height), Box(left, top, width - right, height - bottom))


def _side(length: int, pixels: int, before: bool, after: bool) -> tuple[int, int, int]:
    """(new length, pixels added before, and after); what rounding adds goes to the asked sides."""
    new = math.ceil((length + pixels * (before + after)) / STEP) * STEP
    more = new - length
    first = more // (before + after) if before else 0
    return new, first, more - first if after else 0


def read_wishes(
    pixels: Any, blur: Any, content: Any, direction: Any
) -> tuple[int, int, int, tuple[str, ...]]:
    """(pixels, blur, place of the masked content, directions). Raises BadInput."""
    return (
        arguments.whole(PIXELS, pixels, 1, MOST_PIXELS),
        arguments.whole(BLUR, blur, 0, MOST_BLUR),
        MASKED_CONTENTS.index(arguments.one_of(CONTENT, content, MASKED_CONTENTS)),
        arguments.some_of(DIRECTION, direction, DIRECTIONS),
    )


class PoorMansOutpainting(Script):
    """Grows the canvas and inpaints the new part, tiles of width × height at a time."""

    def title(self) -> str:
        """The name in the menu."""
        return "Poor man's outpainting"

    def show(self, is_img2img: bool) -> bool:
        """In img2img alone."""
        return is_img2img

    def ui(self, is_img2img: bool) -> list[Any]:
        """The script's fields."""
        import gradio as gr

        return [
            gr.Slider(8, 256, value=128, step=8, label=PIXELS, elem_id=self.elem_id("pixels")),
            gr.Slider(0, 64, value=4, step=1, label=BLUR, elem_id=self.elem_id("mask_blur")),
            gr.Radio(
                list(MASKED_CONTENTS), value=MASKED_CONTENTS[0], label=CONTENT,
                elem_id=self.elem_id("inpainting_fill"),
            ),
            gr.CheckboxGroup(
                list(DIRECTIONS), value=list(DIRECTIONS), label=DIRECTION,
                elem_id=self.elem_id("direction"),
            ),
        ]  # fmt: skip

    def check_arguments(self, *args: Any) -> None:
        """Raises BadInput for bad arguments."""
        read_wishes(*args)

    def run(self, p: Any, pixels: Any, blur: Any, content: Any, direction: Any) -> Processed:
        """Raises BadInput for bad arguments, and where a tile is not larger than `pixels`."""
        pixels, blur, fill, directions = read_wishes(pixels, blur, content, direction)
        picture = start_picture(p)
        growth = grown(picture.size, pixels, directions)
        arguments.check_size(PIXELS, pixels, *growth.size)
        boxes = _tiles(p, growth, pixels)
        own = own_p(p)
        own.mask_blur, own.inpainting_fill, own.inpaint_full_res = blur * 2, fill, False
        own.inpainting_mask_invert = 0
        if isinstance(content, str):  # A1111 1.10 says it where it is given by number only
            own.extra_generation_params[CONTENT] = None
        canvas = Image.new("RGB", growth.size)
        canvas.paste(picture, growth.old[:2])
        parts = _parts(canvas, growth, boxes, blur)
        p.job.expect(sum(map(bool, parts)) * p.n_iter)
        results = Results(own)
        for _ in range(p.n_iter):
            seed = own.seed
            painted = paint(own, [part for part in parts if part])
            if not painted.infotext:
                break
            whole = join_tiles(boxes, _in_rows(canvas, boxes, parts, painted.images), pixels)
            results.add(whole, painted.infotext, seed, is_whole=painted.is_whole)
        return results.processed()


def _tiles(p: Any, growth: Growth, pixels: int) -> Tiles:
    """Tiles of p's size; neighbours overlap by `pixels`."""
    try:
        return tile_boxes(growth.size, (p.width, p.height), pixels)
    except ValueError:
        allowed = f"less than width and height ({p.width}x{p.height}) is needed"
        raise BadInput(PIXELS, pixels, allowed) from None


def _parts(canvas: Image.Image, growth: Growth, boxes: Tiles, blur: int) -> list[Part | None]:
    """What to paint in each tile, row by row; None where nothing is new."""
    mask, latent_mask = growth.mask(blur * 2), growth.mask(blur // 2)
    return [
        None
        if _is_within(box, growth.old)
        else Part(canvas.crop(box), mask.crop(box), latent_mask.crop(box))
        for row in boxes
        for box in row
    ]


def _in_rows(
    canvas: Image.Image, boxes: Tiles, parts: Sequence[Part | None], painted: Sequence[Image.Image]
) -> list[list[Image.Image]]:
    """All tiles: painted where there is a part, else as the canvas is."""
    new, asked = iter(painted), iter(parts)
    return [[next(new) if next(asked) else canvas.crop(box) for box in row] for row in boxes]


def _is_within(box: Box, other: Box) -> bool:
    return (
        other.left <= box.left
        and other.top <= box.top
        and box.right <= other.right
        and box.bottom <= other.bottom
    )
