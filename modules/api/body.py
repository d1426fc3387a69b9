"""The body of a generation request: the parameters, null for default, described in OpenAPI."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from modules.params import Img2ImgBody, Txt2ImgBody, parameters

MOST_TASK_ID_CHARACTERS: Final = 200


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Give each property of the schema its parameter's label and tooltip."""
    for parameter in parameters(model):
        entry = schema["properties"].get(parameter.name)
        if entry is not None:
            entry["title"] = parameter.face.label
            if parameter.face.tooltip:
                entry["description"] = parameter.face.tooltip


class LenientBody(BaseModel):
    """How A1111 1.10 reads bodies: null means the default, numbers may come as text or booleans."""

    model_config = ConfigDict(
        coerce_numbers_to_str=True, allow_inf_nan=False, json_schema_extra=_describe
    )

    @model_validator(mode="before")
    @classmethod
    def drop_nulls(cls, values: Any) -> Any:
        """Leave out what is null, also among the overrides; lists keep theirs."""
        if not isinstance(values, dict):
            return values
        given = _without_nulls(values)
        overrides = given.get("override_settings")
        if isinstance(overrides, dict):
            given["override_settings"] = _without_nulls(overrides)
        return given

    @field_validator("force_task_id", check_fields=False)
    @classmethod
    def check_task_id(cls, value: str | None) -> str | None:
        """A job's name is shown, and written into lists and addresses."""
        if value and (len(value) > MOST_TASK_ID_CHARACTERS or not value.isprintable()):
            most = MOST_TASK_ID_CHARACTERS
            raise ValueError(f"force_task_id may have {most} printable characters at most")
        return value


class Txt2ImgRequest(LenientBody, Txt2ImgBody):
    """A picture from text. Every field may be left out or null: its default is taken.

    Unknown fields are ignored, whole numbers may come as text or booleans (A1111 1.10 behaviour).
    """


class Img2ImgRequest(LenientBody, Img2ImgBody):
    """A picture from a picture. Every field but init_images may be left out or null.

    Pictures are base64, with or without `data:image/png;base64,` before it; addresses are fetched
    where the setting api_enable_requests allows it.
    """


GenerationRequest = Txt2ImgRequest | Img2ImgRequest


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
