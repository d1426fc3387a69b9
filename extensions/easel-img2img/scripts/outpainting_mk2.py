"""Outpainting mk2: each new side begins as noise like the picture, and is painted beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from easel_img2img import arguments
from easel_img2img.painting import Results
from easel_img2img.start import own_p, start_picture
from easel_img2img.texture import matched_noise
from PIL import Image

from modules.core.errors import BadInput
from modules.extensions import Processed, Script, process_images
from modules.images.masks import Box
from modules.processing.p import next_seed

NOTE = (
    '<p class="easel-note">Recommended settings: Sampling Steps: 80-100, Sampler: Euler a, '
    "Denoising strength: 0.8</p>"
)
PIXELS, BLUR, DIRECTION = "Pixels to expand", "Mask blur", "Outpainting direction"
FALLOFF, VARIATION = "Fall-off exponent (lower=higher detail)", "Color variation"
DIRECTIONS = ("left", "right", "up", "down")
MOST_PIXELS = 4096
MOST_BLUR = 256
MOST_FALLOFF = 10
ORIGINAL = 1
"""The masked content that begins with what is there: the noise."""
CELL = 8
"""A job's sides are multiples of this (px)."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """The script's arguments, checked."""

    pixels: int
    blur: int
    directions: tuple[str, ...]
    falloff: float
    variation: float

    def final_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of a picture of `size` that has grown into all directions."""
        across = sum(one in ("left", "right") for one in self.directions)
        upright = len(self.directions) - across
        return size[0] + across * self.pixels, size[1] + upright * self.pixels


def read_wishes(pixels: Any, blur: Any, direction: Any, falloff: Any, variation: Any) -> Wishes:
    """Raises BadInput."""
    return Wishes(
        pixels=arguments.whole(PIXELS, pixels, 1, MOST_PIXELS),
        blur=arguments.whole(BLUR, blur, 0, MOST_BLUR),
        directions=arguments.some_of(DIRECTION, direction, DIRECTIONS),
        falloff=arguments.number(FALLOFF, falloff, 0, MOST_FALLOFF),
        variation=arguments.number(VARIATION, variation, 0, 1),
    )


@dataclass(frozen=True, slots=True)
class Side:
    """A canvas of `size` (width, height) that has just grown into a direction."""

    direction: str
    size: tuple[int, int]
    pixels: int

    @property
    def is_across(self) -> bool:
        """Whether it has grown to the left or the right."""
        return self.direction in ("left", "right")

    @property
    def old(self) -> tuple[int, int]:
        """Where the left upper corner of the picture before lies."""
        pixels = self.pixels
        return (pixels * (self.direction == "left"), pixels * (self.direction == "up"))

    def strip(self, margin: int = 0) -> Box:
        """What is new, and `margin` pixels more."""
        return self._along(self.pixels + margin)

    def view(self, most: int) -> Box:
        """What is new, with so much of the picture that it is `most` pixels long."""
        return self._along(most)

    def _along(self, length: int) -> Box:
        """The part at the new side that is so long, as far as there is room."""
        width, height = self.size
        length = min(length, width if self.is_across else height)
        if self.is_across:
            left = 0 if self.direction == "left" else width - length
            return Box(left, 0, left + length, height)
        top = 0 if self.direction == "up" else height - length
        return Box(0, top, width, top + length)


class OutpaintingMk2(Script):
    """Grows the picture side by side; each begins with noise of the picture's own kind."""

    def title(self) -> str:
        """The name in the menu."""
        return "Outpainting mk2"

    def show(self, is_img2img: bool) -> bool:
        """In img2img alone."""
        return is_img2img

    def ui(self, is_img2img: bool) -> list[Any]:
        """The script's fields; the note is an argument too, as in A1111."""
        import gradio as gr

        at = self.elem_id
        return [
            gr.HTML(NOTE, padding=False),
            gr.Slider(8, 256, value=128, step=8, label=PIXELS, elem_id=at("pixels")),
            gr.Slider(0, 64, value=8, step=1, label=BLUR, elem_id=at("mask_blur")),
            gr.CheckboxGroup(
                list(DIRECTIONS), value=list(DIRECTIONS), label=DIRECTION, elem_id=at("direction")
            ),
            gr.Slider(0, 4, value=1.0, step=0.01, label=FALLOFF, elem_id=at("noise_q")),
            gr.Slider(0, 1, value=0.05, step=0.01, label=VARIATION, elem_id=at("color_variation")),
        ]

    def check_arguments(self, note: Any, *values: Any) -> None:
        """Raises BadInput for bad arguments."""
        read_wishes(*values)

    def run(self, p: Any, note: Any, *values: Any) -> Processed:
        """Raises BadInput for bad arguments, and where the new part alone fills width or height."""
        wishes = read_wishes(*values)
        _check_view(p, wishes)
        picture = start_picture(p)
        arguments.check_size(PIXELS, wishes.pixels, *wishes.final_size(picture.size))
        own = own_p(p)
        own.batch_size = p.batch_size
        own.inpainting_fill, own.inpaint_full_res = ORIGINAL, False
        own.inpainting_mask_invert, own.resize_mode = 0, 0
        p.job.expect(len(wishes.directions) * p.n_iter)
        results, begin = Results(own), own.seed
        for number in range(p.n_iter):
            own.seed = next_seed(begin, number * p.batch_size)
            for made in _outpainted(own, picture, wishes, (p.width, p.height)):
                is_whole = made[0].size == wishes.final_size(picture.size)
                results.add(*made, is_whole=is_whole)
            if p.job.is_stopped:
                break
        return results.processed()


def _check_view(p: Any, wishes: Wishes) -> None:
    """The picture must be in view beside what is new."""
    for direction in wishes.directions:
        name = "width" if direction in ("left", "right") else "height"
        if getattr(p, name) < wishes.pixels + CELL:
            allowed = f"{name} ({getattr(p, name)}) must leave room for some of the picture"
            raise BadInput(PIXELS, wishes.pixels, allowed)


def _outpainted(
    own: Any, picture: Image.Image, wishes: Wishes, most: tuple[int, int]
) -> list[tuple[Image.Image, str, int]]:
    """(picture, infotext, seed) of one batch, grown as far as it came.

    most: (width, height) in pixels of what is painted at a time, along the growing side.
    """
    pictures = [picture] * own.batch_size
    infotexts: list[str] = []
    seeds: list[int] = []
    for direction in wishes.directions:
        if own.job.is_stopped:
            break
        width, height = pictures[0].size
        if direction in ("left", "right"):
            width += wishes.pixels
        else:
            height += wishes.pixels
        side = Side(direction, (width, height), wishes.pixels)
        view = side.view(most[0] if side.is_across else most[1])
        canvases = [_canvas(one, side) for one in pictures]
        _prepare(own, canvases, side, view, wishes)
        made = process_images(own)
        painted = made.images[made.index_of_first_image :][: len(pictures)]
        if len(painted) < len(pictures):  # stopped, or skipped: as it was before
            continue
        for canvas, part in zip(canvases, painted, strict=True):
            canvas.paste(part.crop((0, 0, view.width, view.height)), view[:2])
        pictures = canvases
        infotexts = infotexts or [made.infotext(own, place) for place in range(len(pictures))]
        seeds = seeds or list(made.all_seeds)
    return list(zip(pictures, infotexts, seeds))


def _canvas(picture: Image.Image, side: Side) -> Image.Image:
    canvas = Image.new("RGB", side.size)
    canvas.paste(picture, side.old)
    return canvas


def _prepare(own: Any, canvases: list[Image.Image], side: Side, view: Box, wishes: Wishes) -> None:
    """Set what the next job paints: the canvases' view, noise in the new part, and its masks."""
    number = DIRECTIONS.index(side.direction)
    own.init_images = []
    for place, canvas in enumerate(canvases):
        random = np.random.default_rng([(own.seed + place) % 2**64, number])
        own.init_images.append(_padded(_with_noise(canvas.crop(view), side, view, random, wishes)))
    own.image_mask = _padded(_mask(side, view, wishes.blur * 2))
    own.latent_mask = _padded(_mask(side, view, wishes.blur // 2))
    own.mask_blur_x = wishes.blur * 2 if side.is_across else 0
    own.mask_blur_y = 0 if side.is_across else wishes.blur * 2
    own.width, own.height = own.image_mask.size


def _with_noise(
    part: Image.Image, side: Side, view: Box, random: np.random.Generator, wishes: Wishes
) -> Image.Image:
    """`part`, which is what `view` shows of the canvas, with noise where it is new."""
    levels = np.asarray(part, dtype=np.float32) / 255
    is_new = np.asarray(_mask(side, view, 0)) > 0
    noise = matched_noise(
        levels, ~is_new, random, falloff=wishes.falloff, variation=wishes.variation
    )
    filled = np.where(is_new[..., None], noise, levels)
    return Image.fromarray(np.rint(filled * 255).clip(0, 255).astype(np.uint8))


def _mask(side: Side, view: Box, margin: int) -> Image.Image:
    """L of the view's size: white what is new, and `margin` pixels more."""
    mask = Image.new("L", side.size)
    mask.paste(255, side.strip(margin))
    return mask.crop(view)


def _padded(image: Image.Image) -> Image.Image:
    """The image with its last column and row repeated up to whole cells."""
    more = ((0, -image.height % CELL), (0, -image.width % CELL))
    levels = np.asarray(image)
    return Image.fromarray(np.pad(levels, (*more, (0, 0))[: levels.ndim], mode="edge"))
