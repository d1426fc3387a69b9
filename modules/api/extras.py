"""POST /sdapi/v1/extra-single-image and extra-batch-images: finished pictures made larger."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence

import anyio.to_thread
import orjson
from fastapi import Response
from pydantic import BaseModel

from modules.api.body import LenientBody
from modules.api.fetch import fetch_picture, is_url
from modules.api.route import EaselApp, Route, User
from modules.core.app import App
from modules.core.settings import SettingsView, known_settings
from modules.images import encode_image
from modules.params.extras import ExtrasOptions, ExtrasParams, NamedPicture
from modules.params.request import ExtrasRequest
from modules.processing.extras import file_arguments, prepare_extras
from modules.processing.result import Result


class ExtrasSingleRequest(LenientBody, ExtrasOptions):
    """One picture in base64, and what is done to it."""

    image: str = ""


class ExtrasBatchRequest(LenientBody, ExtrasOptions):
    """Several pictures in base64, and what is done to each."""

    imageList: list[NamedPicture]  # A1111's name


class ExtrasSingleReply(BaseModel):
    """The picture, and what was done in words."""

    html_info: str
    image: str
    """Base64 of a file in the format of the setting samples_format."""


class ExtrasBatchReply(BaseModel):
    """The pictures, and what was done in words."""

    html_info: str
    images: list[str]


async def extra_single_image(body: ExtrasSingleRequest, app: EaselApp, user: User) -> Response:
    """Make a picture larger; answers when it is done. Nothing is saved.

    Face restoration is not supported: its fields must be 0.
    """
    pictures = [NamedPicture(data=body.image, name="image.png")]
    info, images = await _upscaled(body, pictures, app, user)
    return _json({"html_info": info, "image": images[0]})


async def extra_batch_images(body: ExtrasBatchRequest, app: EaselApp, user: User) -> Response:
    """Make several pictures larger; answers when all are done. Nothing is saved."""
    info, images = await _upscaled(body, body.imageList, app, user)
    return _json({"html_info": info, "images": images})


ROUTES = (
    Route("POST", "/sdapi/v1/extra-single-image", extra_single_image, ExtrasSingleReply),
    Route("POST", "/sdapi/v1/extra-batch-images", extra_batch_images, ExtrasBatchReply),
)


async def _upscaled(
    options: ExtrasOptions, pictures: Sequence[NamedPicture], app: App, user: str
) -> tuple[str, list[str]]:
    """(html_info, files in base64). Raises Interrupted where it was stopped before a picture."""
    request = await anyio.to_thread.run_sync(_prepared, options, pictures, app, user)
    job = await anyio.to_thread.run_sync(app.jobs.submit, request)  # waits for the disk
    # Shielded: the queue's worker must not find its future cancelled.
    result = await asyncio.shield(asyncio.wrap_future(job.future))
    return await anyio.to_thread.run_sync(_files, request, result)


def _prepared(
    options: ExtrasOptions, pictures: Sequence[NamedPicture], app: App, user: str
) -> ExtrasRequest:
    settings = app.settings.view()
    given = {name: getattr(options, name) for name in ExtrasOptions.model_fields}
    images = tuple(_fetched(picture, settings) for picture in pictures)
    return prepare_extras(
        ExtrasParams(**given, images=images),
        settings=settings,
        upscalers=app.models.upscalers,
        user=user,
        save_samples=False,
    )


def _fetched(picture: NamedPicture, settings: SettingsView) -> NamedPicture:
    if not is_url(picture.data):
        return picture
    return NamedPicture(data=fetch_picture(picture.data, "image", settings), name=picture.name)


def _files(request: ExtrasRequest, result: Result) -> tuple[str, list[str]]:
    settings = SettingsView(known_settings(), request.settings)
    made = zip(result.images, result.infotexts, strict=True)
    files = [
        encode_image(image, **file_arguments(image, infotext, settings)) for image, infotext in made
    ]
    return result.info["html_info"], [base64.b64encode(file).decode("ascii") for file in files]


def _json(reply: dict[str, object]) -> Response:
    return Response(orjson.dumps(reply), media_type="application/json")
