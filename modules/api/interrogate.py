"""POST /sdapi/v1/interrogate: a text for a picture."""

from __future__ import annotations

import anyio.to_thread
from pydantic import BaseModel

from modules.api.fetch import fetch_picture, is_url
from modules.api.route import EaselApp, Looks, Route
from modules.core.app import App
from modules.core.errors import ModelError, NotFound
from modules.images.decode import decode_base64

MODELS = ("clip", "deepdanbooru")


class InterrogateRequest(BaseModel):
    """A picture in base64, and what shall look at it: `clip`; `deepdanbooru` is not here."""

    image: str | None = ""
    model: str | None = "clip"


class InterrogateReply(BaseModel):
    """The text."""

    caption: str


async def interrogate(body: InterrogateRequest, app: EaselApp, looks: Looks) -> InterrogateReply:
    """Words for a picture, best first, as a prompt; the lists of words are yours to extend."""
    model = body.model or MODELS[0]
    if model not in MODELS:
        raise NotFound("interrogation model", model, MODELS[:1])
    if model != MODELS[0]:
        reason = "Easel comes without a DeepBooru tagger; ask for the model 'clip'."
        raise ModelError(model, reason)
    caption = await anyio.to_thread.run_sync(_caption, body.image or "", app, limiter=looks)
    return InterrogateReply(caption=caption)


def _caption(text: str, app: App) -> str:
    if is_url(text):
        text = fetch_picture(text, "image", app.settings.view())
    return app.interrogator.caption(decode_base64(text))


ROUTES = (Route("POST", "/sdapi/v1/interrogate", interrogate),)
