"""From the fields and pictures of img2img and inpaint to the parameters of a job.

One function per mode, as the sub-tabs name them; PIL only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image
from pydantic import ValidationError

from modules.core.errors import BadInput
from modules.images import flatten
from modules.images.drawing import (
    Margins,
    blend_drawing,
    drawn_mask,
    extend_picture,
    is_blank,
    weaken_mask,
    with_drawing,
)
from modules.params.generation import MAX_SIDE
from modules.params.img2img import Img2ImgParams
from modules.processing.prepare import bad_input
from modules.ui.generate import Order
from modules.ui.img2img_form import RESIZE_BY, Img2ImgForm
from modules.ui.uploads import read_drawing, to_base64

CELL: Final = 8
"""Pixels of one latent; sides are multiples of it."""
OVERLAP: Final = 8
"""Pixels of the old picture that outpainting draws again beside the new part."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a job starts from."""

    image: Image.Image
    mask: Image.Image | None = None
    size: tuple[int, int] | None = None
    """(width, height) of the result where the form does not decide it."""


ReadStart = Callable[[Img2ImgForm, Sequence[Any]], Start]
"""The start from the form and the values of the mode's picture fields, in order."""


def make_order(read: ReadStart, values: Mapping[str, Any], pictures: Sequence[Any]) -> Order:
    """The parameters of a job in the mode that `read` stands for.

    Raises BadInput, UnsupportedImage naming the parameter.
    """
    form = read_form(values)
    start = read(form, pictures)
    width, height = start.size or result_size(form, start.image.size)
    params = {name: getattr(form, name) for name in Img2ImgParams.model_fields}
    params |= {
        "init_images": (to_base64(start.image),),
        "mask": to_base64(start.mask) if start.mask else None,
        "width": width,
        "height": height,
    }
    scripts = form.soft_inpaint() if start.mask else {}
    return Order(_checked(params), {"alwayson_scripts": scripts})


def read_form(values: Mapping[str, Any]) -> Img2ImgForm:
    """The checked fields. Raises BadInput naming the field."""
    try:
        return Img2ImgForm.model_validate(values)
    except ValidationError as error:
        raise bad_input(error) from error


def _checked(params: Mapping[str, Any]) -> Img2ImgParams:
    try:
        return Img2ImgParams.model_validate(params)
    except ValidationError as error:
        raise bad_input(error) from error


def result_size(form: Img2ImgForm, size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the result for a picture of `size`, as the form asks.

    >>> result_size(Img2ImgForm(resize_by=1, scale=1.5), (100, 64))
    (144, 96)
    """
    if form.resize_by != RESIZE_BY:
        return form.width, form.height
    sides = [int(side * form.scale) // CELL * CELL for side in size]
    if min(sides) < CELL or max(sides) > MAX_SIDE:
        allowed = f"the result's sides may have {CELL} to {MAX_SIDE} pixels"
        raise BadInput("scale", f"{size[0]}x{size[1]} times {form.scale:g}", allowed)
    return sides[0], sides[1]


def plain(form: Img2ImgForm, pictures: Sequence[Any]) -> Start:
    """img2img: the picture."""
    return Start(read_drawing(pictures[0], "init_images").picture)


def sketch(form: Img2ImgForm, pictures: Sequence[Any]) -> Start:
    """Sketch: the picture with what was drawn on it."""
    drawing = read_drawing(pictures[0], "init_images")
    return Start(with_drawing(drawing.picture, drawing.layers))


def inpaint(form: Img2ImgForm, pictures: Sequence[Any]) -> Start:
    """Inpaint: the picture, and what the brush marked."""
    drawing = read_drawing(pictures[0], "init_images")
    mask = drawn_mask(drawing.layers, drawing.picture.size)
    if is_blank(mask):
        raise _no_mask()
    return Start(drawing.picture, mask)


def inpaint_sketch(form: Img2ImgForm, pictures: Sequence[Any]) -> Start:
    """Inpaint sketch: the colours that were drawn, and the mask of where they are."""
    drawing = read_drawing(pictures[0], "init_images")
    mask = drawn_mask(drawing.layers, drawing.picture.size)
    if is_blank(mask):
        raise _no_mask()
    coloured = with_drawing(drawing.picture, drawing.layers)
    image = blend_drawing(
        flatten(drawing.picture), flatten(coloured), mask, float(form.mask_blur or 0)
    )
    return Start(image, weaken_mask(mask, form.mask_alpha))


def inpaint_upload(form: Img2ImgForm, pictures: Sequence[Any]) -> Start:
    """Inpaint upload: the picture, and a mask that was made elsewhere."""
    picture = read_drawing(pictures[0], "init_images").picture
    return Start(picture, read_drawing(pictures[1], "mask").picture)


def outpaint(form: Img2ImgForm, pictures: Sequence[Any]) -> Start:
    """Outpaint: a larger canvas around the picture; the new part is the mask."""
    picture = flatten(read_drawing(pictures[0], "init_images").picture)
    margins = form.margins
    if not any(margins):
        raise BadInput("outpaint_left", 0, "let the picture grow to at least one side")
    grown = _whole_cells(margins, picture.size)
    image, mask = extend_picture(picture, grown, overlap=OVERLAP)
    return Start(image, mask, None if form.inpaint_full_res else image.size)


def _whole_cells(margins: Margins, size: tuple[int, int]) -> Margins:
    """Margins a little larger, so that the sides of the grown picture are whole latents.

    size: (width, height) of the picture. Raises BadInput where it would become too large.
    """
    left, right, up, down = margins
    width, height = size[0] + left + right, size[1] + up + down
    more_x, more_y = -width % CELL, -height % CELL
    if max(width + more_x, height + more_y) > MAX_SIDE:
        allowed = f"a side of the grown picture may have at most {MAX_SIDE} pixels"
        raise BadInput("outpaint_left", f"{width}x{height}", allowed)
    if left and not right:
        left += more_x
    else:
        right += more_x
    if up and not down:
        up += more_y
    else:
        down += more_y
    return Margins(left, right, up, down)


def _no_mask() -> BadInput:
    return BadInput("mask", "nothing", "paint over the part of the picture that should change")
