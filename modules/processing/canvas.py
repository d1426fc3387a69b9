"""What img2img paints on: the picture at its size, the mask, and what is laid over the result.

PIL only; latents come later. A1111 1.10 behaviour, except that masks of another size than the
picture are brought to it, and that a picture of a batch has its own box.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from modules.core.settings import SettingsView
from modules.images import ResizeMode, flatten, resize_image
from modules.images.colour import lab_of
from modules.images.masks import (
    Box,
    blur_mask,
    fill_marked,
    invert_mask,
    kept_part,
    marked_box,
    read_mask,
    strengthen_mask,
    with_aspect,
)
from modules.images.resize import Enlarge
from modules.params.img2img import INPAINT_AREAS, MASK_MODES, MASKED_CONTENTS, Img2ImgParams
from modules.processing.pictures import Sources

ORIGINAL, LATENT_NOISE, LATENT_NOTHING = 1, 2, 3
"""Values of inpainting_fill; 0 fills with the colours around."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """One picture made ready to be encoded, and how its result becomes a picture again."""

    picture: Image.Image
    """RGB; of the size to paint, but with "latent upscale" of its own size."""
    mask: Image.Image | None = None
    """L, of the size to paint."""
    latent_mask: Image.Image | None = None
    """L; where the latent may change."""
    overlay: Image.Image | None = None
    """RGBA, the kept part, laid over the result; of the size of the finished picture."""
    overlay_mask: Image.Image | None = None
    """L, of the overlay's size: what the overlay leaves free."""
    place: Box | None = None
    """Where the result goes in the finished picture; None: it is the whole picture."""
    colours: np.ndarray | None = None
    """Colours to correct the result to, as `images.colour.lab_of` gives them."""
    source: Image.Image | None = None
    """RGB; the whole picture at the size of the finished one."""


def make_canvases(
    params: Img2ImgParams,
    settings: SettingsView,
    sources: Sources,
    enlarge: Enlarge | None = None,
) -> tuple[Canvas, ...]:
    """A canvas for each source picture; `enlarge` is used before Lanczos where one grows."""
    marked = _marked(params, sources)
    resize = functools.partial(resize_image, enlarge=enlarge)
    return tuple(
        _canvas(params, settings, sources, _Source(image, marked, resize))
        for image in sources.images
    )


def canvas_pairs(
    params: Img2ImgParams, canvases: Sequence[Canvas], has_mask: bool
) -> dict[str, Any]:
    """What an infotext says of the mask, in A1111's order; None is left out."""
    if not has_mask:
        return {}
    blur_x, blur_y = params.blur
    inverted, fill = params.inpainting_mask_invert, params.inpainting_fill
    pairs: dict[str, Any] = {
        "Mask mode": MASK_MODES[1] if inverted else None,
        "Mask blur": blur_x if blur_x == blur_y > 0 else None,
    }
    if any(canvas.place for canvas in canvases):
        pairs["Inpaint area"] = INPAINT_AREAS[1]
        pairs["Masked area padding"] = params.inpaint_full_res_padding
    if fill != ORIGINAL and any(canvas.mask for canvas in canvases):
        pairs["Masked content"] = MASKED_CONTENTS[fill]
    return {name: value for name, value in pairs.items() if value is not None}


def _marked(params: Img2ImgParams, sources: Sources) -> Image.Image | None:
    """The mask at its own size: inverted and blurred as asked."""
    if sources.mask is None:
        return None
    mask = read_mask(sources.mask, rounds=params.mask_round)
    if params.inpainting_mask_invert:
        mask = invert_mask(mask)
    return blur_mask(mask, *params.blur)


@dataclass(frozen=True, slots=True)
class _Source:
    """One picture, the mask at its own size, and how pictures (not masks) are resized."""

    image: Image.Image
    marked: Image.Image | None
    resize: Callable[..., Image.Image]


def _canvas(
    params: Img2ImgParams, settings: SettingsView, sources: Sources, source: _Source
) -> Canvas:
    background = settings["img2img_background_color"]
    picture, marked = flatten(source.image, background), source.marked
    if marked is None:
        canvas = Canvas(_resized(picture, params, source))
    elif params.inpaint_full_res:
        canvas = _only_marked(params, sources, picture, marked, source)
    else:
        canvas = _whole(params, sources, picture, marked, source)
    picture = canvas.picture
    if canvas.latent_mask is not None and params.inpainting_fill != ORIGINAL:
        picture = fill_marked(picture, _stretched(canvas.latent_mask, picture.size))
    return Canvas(
        picture=picture,
        mask=canvas.mask,
        latent_mask=canvas.latent_mask,
        overlay=canvas.overlay,
        overlay_mask=canvas.overlay_mask,
        place=canvas.place,
        colours=lab_of(picture) if settings["img2img_color_correction"] else None,
        source=canvas.source or canvas.picture,
    )


def _whole(
    params: Img2ImgParams,
    sources: Sources,
    picture: Image.Image,
    marked: Image.Image,
    source: _Source,
) -> Canvas:
    """The whole picture is painted at once."""
    size = (params.width, params.height)
    mask = resize_image(marked, *size, ResizeMode(params.resize_mode))
    shown = source.resize(picture, *size, ResizeMode(params.resize_mode))
    free = strengthen_mask(mask)
    own = sources.latent_mask
    latent_mask = mask
    if own is not None:
        latent_mask = resize_image(
            read_mask(own, rounds=params.mask_round), *size, ResizeMode(params.resize_mode)
        )
    is_latent = params.resize_mode == ResizeMode.LATENT
    return Canvas(
        picture=picture if is_latent else shown,
        mask=mask,
        latent_mask=latent_mask,
        overlay=kept_part(shown, free),
        overlay_mask=free,
        source=shown,
    )


def _only_marked(
    params: Img2ImgParams,
    sources: Sources,
    picture: Image.Image,
    marked: Image.Image,
    source: _Source,
) -> Canvas:
    """Only a box round the mask is painted, at the full size; a blank mask means no mask."""
    marked = _stretched(marked, picture.size)
    box = marked_box(marked, params.inpaint_full_res_padding)
    if box is None:
        return Canvas(_resized(picture, params, source))
    size = (params.width, params.height)
    box = with_aspect(box, size, picture.size)
    mask = _cut(marked, box, size)
    latent_mask = mask
    if sources.latent_mask is not None:
        own = read_mask(sources.latent_mask, rounds=params.mask_round)
        latent_mask = _cut(_stretched(own, picture.size), box, size)
    return Canvas(
        picture=source.resize(picture.crop(box), *size, ResizeMode.FILL),
        mask=mask,
        latent_mask=latent_mask,
        overlay=kept_part(picture, marked),
        overlay_mask=marked,
        place=box,
        source=picture,
    )


def _resized(picture: Image.Image, params: Img2ImgParams, source: _Source) -> Image.Image:
    if params.resize_mode == ResizeMode.LATENT:
        return picture
    return source.resize(picture, params.width, params.height, ResizeMode(params.resize_mode))


def _cut(image: Image.Image, box: Box, size: tuple[int, int]) -> Image.Image:
    return resize_image(image.crop(box), *size, ResizeMode.FILL)


def _stretched(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A mask at another size; not by Lanczos, whose rings would count as marked."""
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)
