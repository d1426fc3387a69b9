"""POST /sdapi/v1/txt2img and img2img: from the body to a job, from its result to the reply."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio.to_thread
import orjson
from fastapi import HTTPException, Response
from pydantic import BaseModel

from modules.api.body import GenerationRequest, Img2ImgRequest, Txt2ImgRequest
from modules.api.catalogue import ALWAYS_ON_SCRIPTS
from modules.api.fetch import with_pictures
from modules.api.route import EaselApp, Route, User
from modules.core.app import App
from modules.core.errors import Interrupted, NotFound
from modules.core.paths import check_output_folder
from modules.core.settings import TABLE, SettingsView, known_settings
from modules.images import encode_image
from modules.params import Img2ImgParams, Txt2ImgParams
from modules.params.infotext_read import read_infotext
from modules.params.request import Kind, Request, only_parameters
from modules.processing.infotext_names import known_settings_of
from modules.processing.prepare import prepare_request
from modules.processing.result import Result

log = logging.getLogger(__name__)

AnyRequest = TypeVar("AnyRequest", Txt2ImgRequest, Img2ImgRequest)


class GenerationReply(BaseModel):
    """What a finished job answers."""

    images: list[str]
    """Base64 of files in the format of the setting samples_format; grids first."""
    parameters: dict[str, Any]
    """All fields of the request, defaults included."""
    info: str
    """JSON: seeds, prompts and infotexts of all pictures."""


async def txt2img(body: Txt2ImgRequest, app: EaselApp, user: User) -> Response:
    """Make pictures from text; answers when they are done.

    The job belongs to the server: it goes on when the client disconnects. One that is
    interrupted answers with the pictures that were finished.
    """
    return await _generate(body, app, user)


async def img2img(body: Img2ImgRequest, app: EaselApp, user: User) -> Response:
    """Make pictures from pictures; answers when they are done, as txt2img does."""
    return await _generate(body, app, user)


ROUTES = (
    Route("POST", "/sdapi/v1/txt2img", txt2img, GenerationReply),
    Route("POST", "/sdapi/v1/img2img", img2img, GenerationReply),
)


async def _generate(body: GenerationRequest, app: App, user: str) -> Response:
    order = await anyio.to_thread.run_sync(_make_order, body, app, user)
    job = await anyio.to_thread.run_sync(app.jobs.submit, order.request)  # waits for the disk
    try:
        # Shielded: the queue's worker must not find its future cancelled.
        result = await asyncio.shield(asyncio.wrap_future(job.future))
    except Interrupted:
        result = None
    content = await anyio.to_thread.run_sync(_reply, order, result)
    return Response(content, media_type="application/json")


@dataclass(frozen=True, slots=True)
class _Order:
    """A body made ready: what the queue gets, and what the reply repeats."""

    body: GenerationRequest
    request: Request
    warnings: tuple[str, ...]


def _make_order(body: GenerationRequest, app: App, user: str) -> _Order:
    """Raises BadInput, NotFound, HTTPException 422 for an unknown script, 404 without a picture."""
    warnings: tuple[str, ...] = ()
    if isinstance(body, Img2ImgRequest):
        if not body.init_images:
            raise HTTPException(404, "Init image not found")
        body, warnings = _with_infotext(body, app)
    else:
        body, warnings = _with_infotext(body, app)
    _check_scripts(body, app)
    params = with_pictures(only_parameters(body), app.settings.view())
    params["sampler_name"] = body.sampler_name or body.sampler_index
    request = prepare_request(
        params,
        kind="img2img" if isinstance(body, Img2ImgRequest) else "txt2img",
        settings=app.settings.view(),
        catalogue=app.models.catalogue,
        styles=app.styles,
        upscalers=app.models.upscalers,
        overrides=allowed_settings(body.override_settings or {}, app),
        task_id=body.force_task_id or "",
        user=user,
        save_samples=body.save_images and not body.do_not_save_samples,
        save_grid=body.save_images and not body.do_not_save_grid,
        script_name=body.script_name,
        script_args=tuple(body.script_args),
        alwayson_scripts=body.alwayson_scripts,
    )
    return _Order(body, request, warnings)


def allowed_settings(settings: dict[str, Any], app: App) -> dict[str, Any]:
    """The settings that a client may change; the others are left out silently, as A1111 does.

    Raises BadInput for a folder of outputs that lies outside the data folder.
    """
    own = app.settings.view()
    for key, value in settings.items():
        check_output_folder(app.paths, key, value, own.get(key))
    return {
        key: value
        for key, value in settings.items()
        if key not in TABLE or not TABLE[key].restricted
    }


def _with_infotext(body: AnyRequest, app: App) -> tuple[AnyRequest, tuple[str, ...]]:
    """The body with the fields and overrides that it leaves unset taken from its infotext."""
    if not body.infotext:
        return body, ()
    settings = app.settings.view()
    read = read_infotext(
        body.infotext,
        model=Img2ImgParams if isinstance(body, Img2ImgRequest) else Txt2ImgParams,
        has_backcompat=settings["auto_backcompat"],
        skip=settings["infotext_skip_pasting"],
    )
    absent = type(body).model_fields.keys() - body.model_fields_set
    unset = {name: value for name, value in read.params.items() if name in absent}
    if "sampler_index" in body.model_fields_set:
        unset.pop("sampler_name", None)
    known, missing = known_settings_of(read, app.models.catalogue, app.models.vaes)
    own = body.override_settings or {}
    warnings = [
        f"The infotext's {_MODEL_KINDS[key]} '{name}' was not used: it is not here."
        for key, name in missing.items()
        if key not in own
    ]
    warnings += [
        f"The infotext's {name} '{value}' was not used: it is no value for it."
        for name, value in read.refused.items()
    ]
    overrides = {**known, **own}
    return body.model_copy(update={**unset, "override_settings": overrides}), tuple(warnings)


_MODEL_KINDS = {"sd_model_checkpoint": "model", "sd_vae": "VAE"}


def _check_scripts(body: GenerationRequest, app: App) -> None:
    """Raises HTTPException 422, worded as A1111 1.10 words it, and BadInput for arguments."""
    kind: Kind = "img2img" if isinstance(body, Img2ImgRequest) else "txt2img"
    try:
        app.scripts.check(kind, body.script_name, body.script_args)
    except NotFound as error:
        raise HTTPException(422, f"Script '{body.script_name}' not found") from error
    selectable = {script.name for script in app.scripts.selectable(kind)}
    for name in body.alwayson_scripts:
        if name.lower() in selectable:
            reason = "Cannot have a selectable script in the always on scripts params"
            raise HTTPException(422, reason)
        if name.lower() not in ALWAYS_ON_SCRIPTS:
            raise HTTPException(422, f"Script '{name}' not found")


def _reply(order: _Order, result: Result | None) -> bytes:
    """The reply as JSON; `result` is None if the job was stopped before any picture."""
    settings = SettingsView(known_settings(), order.request.settings)
    images: Sequence[str] = ()
    if result and order.body.send_images:
        images = [
            _encode(image, infotext, settings)
            for image, infotext in zip(result.images, result.infotexts, strict=True)
        ]
    info = dict(result.info) if result else _empty_info(order.request)
    warnings = [*order.warnings, *(result.warnings if result else ())]
    if warnings:
        info["warnings"] = warnings
    reply = {
        "images": images,
        "parameters": _echo(order.body),
        "info": json.dumps(info, default=str),
    }
    return orjson.dumps(reply)


def _echo(body: GenerationRequest) -> dict[str, Any]:
    """The request's fields; its pictures only where it asks for them."""
    said = body.model_dump(mode="json")
    if isinstance(body, Img2ImgRequest) and not body.include_init_images:
        said |= {"init_images": None, "mask": None}
    return said


def _encode(image: Any, infotext: str, settings: SettingsView) -> str:
    data = encode_image(
        image,
        settings["samples_format"],
        infotext if settings["enable_pnginfo"] else "",
        settings["jpeg_quality"],
        lossless=settings["webp_lossless"],
    )
    return base64.b64encode(data).decode("ascii")


def _empty_info(request: Request) -> dict[str, Any]:
    """`info` of a job without pictures: what was asked for, and empty lists."""
    params = request.params.model_dump(mode="json")
    same = (
        *("prompt", "negative_prompt", "seed", "subseed", "subseed_strength", "width", "height"),
        *("sampler_name", "cfg_scale", "steps", "batch_size", "denoising_strength", "styles"),
    )
    lists = ("all_prompts", "all_negative_prompts", "all_seeds", "all_subseeds", "infotexts")
    return {
        **{name: params[name] for name in same},
        **{name: [] for name in lists},
        "index_of_first_image": 0,
        "extra_generation_params": {},
    }
