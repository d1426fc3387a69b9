"""Soft inpainting's numbers, as A1111's always-on script of that name takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modules.core.errors import BadInput
from modules.params.face import Check, Face, Slider, parameters

TITLE: Final = "Soft Inpainting"
"""Its name in alwayson_scripts, in any case of letters."""


class SoftInpaint(BaseModel):
    """Arguments in A1111's order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: Annotated[
        bool,
        Face(
            "Soft inpainting",
            Check(),
            infotext="Soft inpainting enabled",
            element="=soft_inpainting_enabled-checkbox",
            tooltip="Let greys of the mask change a little, and find the seam afterwards.",
        ),
    ] = False
    mask_blend_power: Annotated[
        int | float,
        Field(ge=0, le=8),
        Face(
            "Schedule bias",
            Slider(0, 8, 0.1),
            infotext="Soft inpainting schedule bias",
            element="=mask_blend_power",
            tooltip="When the kept part is held: above 1 early, below 1 late.",
        ),
    ] = 1
    mask_blend_scale: Annotated[
        int | float,
        Field(ge=0, le=8),
        Face(
            "Preservation strength",
            Slider(0, 8, 0.05),
            infotext="Soft inpainting preservation strength",
            element="=mask_blend_scale",
            tooltip="How firmly greys of the mask hold what is there.",
        ),
    ] = 0.5
    inpaint_detail_preservation: Annotated[
        int | float,
        Field(ge=1, le=32),
        Face(
            "Transition contrast boost",
            Slider(1, 32, 0.5),
            infotext="Soft inpainting transition contrast boost",
            element="=inpaint_detail_preservation",
            tooltip="Keeps contrast where old and new mix.",
        ),
    ] = 4
    composite_mask_influence: Annotated[
        int | float,
        Field(ge=0, le=1),
        Face(
            "Mask influence",
            Slider(0, 1, 0.05),
            infotext="Soft inpainting mask influence",
            element="=composite_mask_influence",
            tooltip="How much the mask itself decides what of the result is laid in.",
        ),
    ] = 0
    composite_difference_threshold: Annotated[
        int | float,
        Field(ge=0, le=8),
        Face(
            "Difference threshold",
            Slider(0, 8, 0.25),
            infotext="Soft inpainting difference threshold",
            element="=composite_difference_threshold",
            tooltip="How much must differ until the result is laid in.",
        ),
    ] = 0.5
    composite_difference_contrast: Annotated[
        int | float,
        Field(ge=0, le=8),
        Face(
            "Difference contrast",
            Slider(0, 8, 0.25),
            infotext="Soft inpainting difference contrast",
            element="=composite_difference_contrast",
            tooltip="How sharp the seam is between old and new.",
        ),
    ] = 2

    def pairs(self) -> dict[str, Any]:
        """Names and values for the infotext, in order."""
        faces = parameters(SoftInpaint)
        return {str(row.face.infotext): getattr(self, row.name) for row in faces}

    def arguments(self) -> list[Any]:
        """What `alwayson_scripts` holds for it, by position."""
        return [getattr(self, name) for name in SoftInpaint.model_fields]


def read_soft_inpaint(scripts: Mapping[str, Any]) -> SoftInpaint | None:
    """The numbers in a request's alwayson_scripts; None where it is absent or off.

    Raises BadInput naming the argument.

    >>> read_soft_inpaint({"soft inpainting": {"args": [True, 2]}}).mask_blend_power
    2
    """
    found = [value for name, value in scripts.items() if name.lower() == TITLE.lower()]
    if not found:
        return None
    given = found[0].get("args", []) if isinstance(found[0], Mapping) else found[0]
    names = list(SoftInpaint.model_fields)
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > len(names):
        allowed = f"a list of up to {len(names)} arguments is expected: {', '.join(names)}"
        raise BadInput(f"alwayson_scripts.{TITLE}", given, allowed)
    try:
        soft = SoftInpaint.model_validate(dict(zip(names, given, strict=False)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = f"alwayson_scripts.{TITLE}.{first['loc'][0]}"
        raise BadInput(field, first.get("input"), first["msg"].lower()) from error
    return soft if soft.enabled else None
