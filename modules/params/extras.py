"""Parameters of extras: finished pictures, and how they are made larger.

Pictures are base64 text here (with or without `data:image/png;base64,`), so that a request stays
plain data. Names and defaults are those of A1111 1.10's REST bodies; `upscale_max_side_length` is
a field of its page alone.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from modules.params.face import Check, Choice, Face, Radio, Slider
from modules.params.generation import MAX_SIDE, Fraction

SCALE_BY: Final = 0
SCALE_TO: Final = 1
MAX_SCALE: Final = 64

TargetSide = Annotated[int, Field(ge=1, le=MAX_SIDE)]


class NamedPicture(BaseModel):
    """A picture in base64, and the name of its file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    data: str
    name: str


class ExtrasOptions(BaseModel):
    """What is done to each picture. Frozen; unknown names are ignored, as A1111's API does."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    resize_mode: Annotated[
        int,
        Field(ge=SCALE_BY, le=SCALE_TO),
        Face(
            "Size",
            Radio(("Scale by", "Scale to")),
            tooltip="Give the size as a multiple of the picture's own, or in pixels.",
        ),
    ] = SCALE_BY
    show_extras_results: bool = True
    gfpgan_visibility: Fraction = 0.0
    codeformer_visibility: Fraction = 0.0
    codeformer_weight: Fraction = 0.0
    upscaling_resize: Annotated[
        float,
        Field(gt=0, le=MAX_SCALE),
        Face(
            "Resize",
            Slider(1, 8, 0.05),
            ui_default=4,
            tooltip="How many times larger the picture becomes.",
        ),
    ] = 2.0
    upscale_max_side_length: Annotated[
        int,
        Field(ge=0, le=MAX_SIDE),
        Face(
            "Max side length",
            Slider(0, 8192, 8),
            tooltip="The longer side has at most so many pixels; 0 sets no limit.",
        ),
    ] = 0
    upscaling_resize_w: Annotated[
        TargetSide,
        Face("Width", Slider(64, 8192, 8), tooltip="Width of the result in pixels."),
    ] = 512
    upscaling_resize_h: Annotated[
        TargetSide,
        Face("Height", Slider(64, 8192, 8), tooltip="Height of the result in pixels."),
    ] = 512
    upscaling_crop: Annotated[
        bool,
        Face(
            "Crop to fit",
            Check(),
            tooltip="Cut off what sticks out of that size; without it, the picture stays whole.",
        ),
    ] = True
    upscaler_1: Annotated[
        str,
        Face(
            "Upscaler 1",
            Choice("upscalers"),
            ui_default="Lanczos",
            tooltip="What makes the picture larger; None leaves it as it is.",
        ),
    ] = "None"
    upscaler_2: Annotated[
        str,
        Face(
            "Upscaler 2",
            Choice("upscalers"),
            tooltip="A second one, whose picture is mixed into the first one's.",
        ),
    ] = "None"
    extras_upscaler_2_visibility: Annotated[
        Fraction,
        Face(
            "Upscaler 2 visibility",
            Slider(0, 1, 0.001),
            element="upscaler_2_visibility",
            tooltip="Its share in the result: 0 nothing, 1 everything.",
        ),
    ] = 0.0
    upscale_first: bool = False


class ExtrasParams(ExtrasOptions):
    """What is done, and to which pictures."""

    images: tuple[NamedPicture, ...] = ()
