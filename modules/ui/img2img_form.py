"""The fields of the img2img and inpaint tabs: the parameters, soft inpainting, the page's own."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from modules.images.drawing import Margins
from modules.params.face import Face, Radio, Slider
from modules.params.img2img import Img2ImgParams
from modules.params.soft_inpaint import TITLE, SoftInpaint

RESIZE_TO: Final = 0
RESIZE_BY: Final = 1
MAX_MARGIN: Final = 1024
"""Pixels."""

Margin = Annotated[int, Field(ge=0, le=MAX_MARGIN)]


class Img2ImgForm(Img2ImgParams, SoftInpaint):
    """Everything that has a field; what is no parameter becomes one when a job is made."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    resize_by: Annotated[
        int,
        Field(ge=0, le=1),
        Face(
            "Size",
            Radio(("Resize to", "Resize by")),
            tooltip="Give the size in pixels, or as a multiple of the picture's own.",
        ),
    ] = RESIZE_TO
    scale: Annotated[
        float,
        Field(gt=0, le=16),
        Face(
            "Scale",
            Slider(0.05, 4, 0.05),
            tooltip="The result is so many times as large as the picture.",
        ),
    ] = 1.0
    mask_alpha: Annotated[
        float,
        Field(ge=0, le=100),
        Face(
            "Mask transparency",
            Slider(0, 100),
            tooltip="How much of the picture below the drawing is kept (%).",
        ),
    ] = 0
    outpaint_left: Annotated[
        Margin, Face("Left", Slider(0, 512, 8), tooltip="How far the picture grows (px).")
    ] = 128
    outpaint_right: Annotated[
        Margin, Face("Right", Slider(0, 512, 8), tooltip="How far the picture grows (px).")
    ] = 128
    outpaint_up: Annotated[
        Margin, Face("Up", Slider(0, 512, 8), tooltip="How far the picture grows (px).")
    ] = 0
    outpaint_down: Annotated[
        Margin, Face("Down", Slider(0, 512, 8), tooltip="How far the picture grows (px).")
    ] = 0

    @property
    def margins(self) -> Margins:
        """How far the canvas of outpainting grows."""
        return Margins(
            self.outpaint_left, self.outpaint_right, self.outpaint_up, self.outpaint_down
        )

    def soft_inpaint(self) -> dict[str, Any]:
        """What alwayson_scripts holds for soft inpainting; empty where it is off."""
        if not self.enabled:
            return {}
        return {TITLE: {"args": self.arguments()}}
