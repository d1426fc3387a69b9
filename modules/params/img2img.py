"""Parameters of img2img and inpainting: a picture to start from, and what of it may change.

Pictures are base64 text here (with or without `data:image/png;base64,`), so that a request stays
plain data; `processing` decodes them. Names and defaults are those of A1111 1.10's REST body.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from modules.params.face import Face, Radio, Slider
from modules.params.generation import MAX_SIDE, Fraction, GenerationParams

RESIZE_MODES = ("Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)")
MASK_MODES = ("Inpaint masked", "Inpaint not masked")
MASKED_CONTENTS = ("fill", "original", "latent noise", "latent nothing")
INPAINT_AREAS = ("Whole picture", "Only masked")
"""Each by its REST value, counted from 0."""

MAX_BLUR = 1024
"""Pixels."""


class Img2ImgParams(GenerationParams):
    """A picture from a picture; with a mask, only the masked part of it changes."""

    init_images: tuple[str, ...] | None = None
    """One for the whole batch, or one for each picture of it."""
    resize_mode: Annotated[
        int,
        Field(ge=0, le=3),
        Face(
            "Resize mode",
            Radio(RESIZE_MODES),
            element="=resize_mode",
            tooltip="How the picture is brought to the width and height below.",
        ),
    ] = 0
    denoising_strength: Annotated[
        Fraction | None,
        Face(
            "Denoising strength",
            Slider(0, 1, 0.01),
            infotext="Denoising strength",
            ui_default=0.75,
            tooltip="How much of the picture may change: 0 nothing, 1 everything.",
        ),
    ] = 0.75
    image_cfg_scale: Annotated[
        float | None,
        Field(ge=0, le=1000),
        Face(
            "Image CFG Scale",
            Slider(0, 3, 0.05),
            infotext="Image CFG scale",
            ui_default=1.5,
            tooltip="How strictly to keep to the picture; only with instruct-pix2pix models.",
        ),
    ] = None
    mask: str | None = None
    """White is painted anew, black is kept; any size and mode."""
    latent_mask: str | None = None
    """Where the latent may change, if that is not the mask."""
    mask_blur_x: Annotated[int, Field(ge=0, le=MAX_BLUR), Face("Mask blur, horizontal")] = 4
    mask_blur_y: Annotated[int, Field(ge=0, le=MAX_BLUR), Face("Mask blur, vertical")] = 4
    mask_blur: Annotated[
        int | None,
        Field(ge=0, le=MAX_BLUR),
        Face(
            "Mask blur",
            Slider(0, 64),
            infotext="Mask blur",
            ui_default=4,
            tooltip="How softly the mask fades into the picture (px).",
        ),
    ] = None
    mask_round: Annotated[bool, Face("Round the mask to black and white in the latent")] = True
    inpainting_fill: Annotated[
        int,
        Field(ge=0, le=3),
        Face(
            "Masked content",
            Radio(MASKED_CONTENTS),
            infotext="Masked content",
            ui_default=1,
            tooltip="What stands in the masked part before it is painted anew.",
        ),
    ] = 0
    inpaint_full_res: Annotated[
        bool,
        Face(
            "Inpaint area",
            Radio(INPAINT_AREAS),
            infotext="Inpaint area",
            ui_default=False,
            tooltip="Only masked paints the masked part at full size and puts it back.",
        ),
    ] = True
    inpaint_full_res_padding: Annotated[
        int,
        Field(ge=0, le=MAX_SIDE),
        Face(
            "Only masked padding, pixels",
            Slider(0, 256, 4),
            infotext="Masked area padding",
            ui_default=32,
            tooltip="How much around the masked part is looked at (px).",
        ),
    ] = 0
    inpainting_mask_invert: Annotated[
        int,
        Field(ge=0, le=1),
        Face(
            "Mask mode",
            Radio(MASK_MODES),
            infotext="Mask mode",
            element="mask_mode",
            tooltip="Whether the marked part is painted anew, or everything else.",
        ),
    ] = 0
    initial_noise_multiplier: Annotated[
        float | None, Field(ge=0, le=10), Face("Noise multiplier")
    ] = None

    @property
    def blur(self) -> tuple[int, int]:
        """(x, y) of the mask's blur in pixels; `mask_blur` goes before the two."""
        if self.mask_blur is not None:
            return self.mask_blur, self.mask_blur
        return self.mask_blur_x, self.mask_blur_y
