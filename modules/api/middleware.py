"""What every request passes: time and log outermost, compression for the API's own replies."""

from __future__ import annotations

import logging
import time

from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modules.api.errors import error_reply

log = logging.getLogger(__name__)

API_PREFIXES = ("/sdapi/", "/internal/", "/easel/", "/docs", "/openapi.json")

_GZIP_MINIMUM_BYTES = 1000
_GZIP_LEVEL = 1
"""Base64 shrinks to three quarters at any level; higher ones only take longer."""


class Edge:
    """Adds X-Process-Time, answers errors that nobody handled, logs API calls if asked to."""

    def __init__(self, app: ASGIApp, logs_calls: bool) -> None:
        self._app = app
        self._logs_calls = logs_calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and watch its reply."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def send_timed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                took = f"{time.perf_counter() - began:.4f}"
                MutableHeaders(scope=message)["X-Process-Time"] = took
            await send(message)

        try:
            await self._app(scope, receive, send_timed)
        except Exception as error:
            if status:
                raise
            await error_reply(error)(scope, receive, send_timed)
        finally:
            if self._logs_calls and scope["path"].startswith(API_PREFIXES):
                client = (scope.get("client") or ("?",))[0]
                took_s = time.perf_counter() - began
                log.info(
                    "%s %s %d %s %.3f s", scope["method"], scope["path"], status, client, took_s
                )


class ApiGZip:
    """Compresses the API's replies; the page has its own compression and streams events."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._gzip = GZipMiddleware(app, _GZIP_MINIMUM_BYTES, _GZIP_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose by path."""
        is_api = scope["type"] == "http" and scope["path"].startswith(API_PREFIXES)
        await (self._gzip if is_api else self._plain)(scope, receive, send)


class Subpath:
    """Serves everything below a prefix, whether or not the proxy in front cuts it off."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say the prefix as ASGI does: in `root_path`, and at the start of `path`."""
        if scope["type"] in ("http", "websocket"):
            path = scope["path"]
            if path != self._prefix and not path.startswith(f"{self._prefix}/"):
                path = self._prefix + path
            scope = {**scope, "root_path": self._prefix, "path": path}
        await self._app(scope, receive, send)
