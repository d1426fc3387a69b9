"""Pictures that a request names by URL, fetched before the job is queued, if the user allows it.

Off unless the setting api_enable_requests is on, which no request can change. Addresses of this
machine and of local networks are refused on the connected socket, at every redirect.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any, Final

from modules.core.errors import BadInput, UnsupportedImage
from modules.core.settings import SettingsView
from modules.downloads.connection import Policy, Reply, get
from modules.images.decode import MAX_BYTES

TIMEOUT_S: Final = 20.0
"""For each answer of the other server, and for all of them together."""
MOST_REDIRECTS: Final = 3
PICTURE_FIELDS: Final = ("firstpass_image", "mask", "latent_mask")
"""Parameters that hold one picture; init_images holds several."""

_CHUNK: Final = 1 << 16


def is_url(text: object) -> bool:
    """Whether a picture is named by its address rather than given."""
    return isinstance(text, str) and text[:8].lower().startswith(("http://", "https://"))


def with_pictures(params: dict[str, Any], settings: SettingsView) -> dict[str, Any]:
    """Parameters in which addresses of pictures have become base64 text.

    Raises BadInput, naming the parameter, where that is not allowed; DownloadFailed.
    """
    changed: dict[str, Any] = {}
    for name in PICTURE_FIELDS:
        if is_url(params.get(name)):
            changed[name] = fetch_picture(params[name], name, settings)
    images = params.get("init_images") or ()
    if any(is_url(image) for image in images):
        changed["init_images"] = tuple(
            fetch_picture(image, f"init_images.{place}", settings) if is_url(image) else image
            for place, image in enumerate(images)
        )
    return params | changed


def fetch_picture(
    url: str,
    field: str,
    settings: SettingsView,
    *,
    max_bytes: int = MAX_BYTES,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """The file at `url` as base64 text. Raises BadInput, UnsupportedImage, DownloadFailed."""
    if not settings["api_enable_requests"]:
        raise BadInput(field, url, "URLs are not fetched unless api_enable_requests is on")
    policy = Policy(
        private_addresses=not settings["api_forbid_local_requests"],
        plain_http=True,
        timeout_s=TIMEOUT_S,
        most_redirects=MOST_REDIRECTS,
        uses_proxy=False,
    )
    agent = settings["api_useragent"]
    deadline = clock() + TIMEOUT_S
    try:
        with get(url, {"User-Agent": agent} if agent else {}, policy) as reply:
            data = _read(reply, field, max_bytes, lambda: clock() < deadline)
    except UnsupportedImage:
        raise
    except BadInput as error:
        raise BadInput(field, url, error.allowed) from error
    return base64.b64encode(data).decode("ascii")


def _read(reply: Reply, field: str, max_bytes: int, has_time: Callable[[], bool]) -> bytes:
    if reply.status != 200:
        raise BadInput(field, reply.url, f"the server answered with status {reply.status}")
    data = bytearray()
    while chunk := reply.read(_CHUNK):
        data += chunk
        if len(data) > max_bytes:
            limit = f"at most {max_bytes / 2**20:g} MiB are allowed"
            raise UnsupportedImage(field, reply.url, limit)
        if not has_time():
            raise BadInput(field, reply.url, f"the picture did not come within {TIMEOUT_S:g} s")
    return bytes(data)
