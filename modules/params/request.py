"""A request: everything that decides a job's result, as plain frozen data that JSON can carry."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from modules.core.errors import NotFound
from modules.params.extras import ExtrasParams
from modules.params.generation import GenerationParams, Txt2ImgParams
from modules.params.img2img import Img2ImgParams

Kind = Literal["txt2img", "img2img"]
Params = Txt2ImgParams | Img2ImgParams

PARAMS: dict[Kind, type[Params]] = {"txt2img": Txt2ImgParams, "img2img": Img2ImgParams}
"""The parameter class of each kind of job."""


def params_class(kind: str) -> type[Params]:
    """The parameter class of a kind of job. Raises NotFound."""
    for name, model in PARAMS.items():
        if name == kind:
            return model
    raise NotFound("kind of job", kind, PARAMS)


class Request(BaseModel):
    """What the page, the REST API, the command line and a queue row all become.

    `settings` holds every setting that differs from its default, overrides merged in, as they
    were when the request was made: nothing that happens later changes the result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = "txt2img"
    """Follows from `params` where they are no plain dictionary."""
    params: Params
    settings: dict[str, Any] = Field(default_factory=dict)
    style_texts: tuple[tuple[str, str], ...] = ()
    """(prompt, negative prompt) of each style that `params.styles` names."""
    script_name: str | None = None
    script_args: tuple[Any, ...] = ()
    draws_from: int | None = None
    """What the script's random seeds follow from; None: they are others each time."""
    alwayson_scripts: dict[str, Any] = Field(default_factory=dict)
    user: str = ""
    task_id: str = ""
    save_samples: bool = True
    save_grid: bool = True

    @property
    def title(self) -> str:
        """What lists of jobs call it."""
        return self.params.prompt

    @property
    def rounds(self) -> int:
        """How often a job can be stopped with something to show for it."""
        return self.params.n_iter

    @model_validator(mode="before")
    @classmethod
    def match_kind_and_params(cls, values: Any) -> Any:
        """Read plain params as the kind says; the kind of ready ones is known."""
        if not isinstance(values, dict):
            return values
        params = values.get("params")
        if isinstance(params, dict):
            model = PARAMS.get(values.get("kind", "txt2img"))
            return values | {"params": model.model_validate(params)} if model else values
        kinds = [kind for kind, model in PARAMS.items() if isinstance(params, model)]
        return values | {"kind": kinds[0]} if kinds else values


class ExtrasRequest(BaseModel):
    """A job of extras: what the queue takes beside a Request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["extras"] = "extras"
    params: ExtrasParams
    settings: dict[str, Any] = Field(default_factory=dict)
    user: str = ""
    task_id: str = ""
    save_samples: bool = True
    save_grid: Literal[False] = False

    @property
    def title(self) -> str:
        """What lists of jobs call it: the names of its pictures."""
        names = [picture.name for picture in self.params.images]
        return names[0] if len(names) == 1 else f"{len(names)} pictures"

    @property
    def rounds(self) -> int:
        """How often a job can be stopped with something to show for it."""
        return len(self.params.images)


AnyRequest = Request | ExtrasRequest
"""What the queue takes."""


class BodyFields(BaseModel):
    """What surrounds the parameters in the REST bodies, as A1111 1.10 has it."""

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


class Txt2ImgBody(BodyFields, Txt2ImgParams):
    """The REST body of txt2img."""


class Img2ImgBody(BodyFields, Img2ImgParams):
    """The REST body of img2img."""

    include_init_images: Annotated[
        bool, Field(description="Whether the reply repeats init_images and mask.")
    ] = False
    firstpass_image: Annotated[
        str | None, Field(description="Accepted for compatibility; img2img has one pass.")
    ] = None


def only_parameters(body: GenerationParams) -> dict[str, Any]:
    """The parameters of a body without what surrounds them."""
    model = next(model for model in PARAMS.values() if isinstance(body, model))
    return {name: getattr(body, name) for name in model.model_fields}
