"""A request: everything that decides a job's result, as plain frozen data that JSON can carry."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from modules.params.generation import GenerationParams, Txt2ImgParams


class Request(BaseModel):
    """What the page, the REST API, the command line and a queue row all become.

    `settings` holds every setting that differs from its default, overrides merged in, as they
    were when the request was made: nothing that happens later changes the result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["txt2img"] = "txt2img"
    params: Txt2ImgParams
    settings: dict[str, Any] = Field(default_factory=dict)
    style_texts: tuple[tuple[str, str], ...] = ()
    """(prompt, negative prompt) of each style that `params.styles` names."""
    script_name: str | None = None
    script_args: tuple[Any, ...] = ()
    alwayson_scripts: dict[str, Any] = Field(default_factory=dict)
    user: str = ""
    task_id: str = ""
    save_samples: bool = True
    save_grid: bool = True


class Txt2ImgBody(Txt2ImgParams):
    """The REST body of txt2img: the parameters and what surrounds them, as A1111 1.10 has it."""

    override_settings: dict[str, Any] | None = None
    override_settings_restore_afterwards: Annotated[
        bool, Field(description="Accepted for compatibility; overrides never outlive a request.")
    ] = True
    force_task_id: str | None = None
    sampler_index: str = "Euler"
    script_name: str | None = None
    script_args: list[Any] = Field(default_factory=list)
    send_images: bool = True
    save_images: bool = False
    alwayson_scripts: dict[str, Any] = Field(default_factory=dict)
    infotext: str | None = None


def only_parameters(body: GenerationParams) -> dict[str, Any]:
    """The parameters of a body without what surrounds them."""
    return {name: getattr(body, name) for name in Txt2ImgParams.model_fields}
