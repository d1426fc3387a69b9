"""Keeps other people's web pages from using this server through the user's browser.

Two attacks on programs that listen on loopback: a foreign page posts to them (cross-site request
forgery), or has its own name resolve to 127.0.0.1 and then counts as the same site (DNS
rebinding). Programs that are no browsers send no Origin and an address as Host: they pass.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from modules.api.errors import envelope
from modules.setup.flags import Flags

_READING = ("GET", "HEAD", "OPTIONS")


class OriginGuard:
    """Answers 403 to what a foreign page sent."""

    def __init__(self, app: ASGIApp, flags: Flags) -> None:
        self._app = app
        self._flags = flags
        self._opened = {_host_and_port(origin) for origin in flags.cors_allow_origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope), scope.get("method"))
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        else:
            await envelope(403, "Forbidden", refusal)(scope, receive, send)

    def _refusal(self, headers: Headers, method: str | None) -> str | None:
        """Why the request is refused, None if it is not; `method` is None for websockets."""
        if "*" in self._flags.cors_allow_origins:
            return None
        host = headers.get("host", "")
        if not self._flags.is_public and not self._is_own_name(host):
            return (
                f"{host!r} is not a name of this server, which serves this machine only. "
                f"Start it with --cors-allow-origins http://{host} to allow the name."
            )
        origin = headers.get("origin")
        if method in _READING or self._is_same_site(headers, origin):
            return None
        if origin and self._is_allowed(origin):
            return None
        return (
            f"The page {origin or 'that sent this'} is not one of this server's. "
            f"Start it with --cors-allow-origins {origin or '<origin>'} to allow it."
        )

    def _is_own_name(self, host: str) -> bool:
        """No name at all, an address, localhost, or what the user named; never a foreign name."""
        name = _name(host)
        if name in ("", "localhost", self._flags.host) or name.endswith(".localhost"):
            return True
        if name in {_name(opened) for opened in self._opened} or self._matches_regex(host):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _matches_regex(self, host: str) -> bool:
        return any(self._is_allowed(f"{scheme}://{host}") for scheme in ("http", "https"))

    def _is_same_site(self, headers: Headers, origin: str | None) -> bool:
        """X-Forwarded-Host may be believed: no page can set it across sites without CORS."""
        if origin is None:
            return headers.get("sec-fetch-site") != "cross-site"
        own = (headers.get("host", ""), headers.get("x-forwarded-host", ""))
        return _host_and_port(origin) in {name.lower() for name in own if name}

    def _is_allowed(self, origin: str) -> bool:
        regex = self._flags.cors_allow_origins_regex
        return origin in self._flags.cors_allow_origins or bool(
            regex and re.fullmatch(regex, origin)
        )


def _host_and_port(origin: str) -> str:
    """`https://Name:1` → `name:1`; "" for `null` and what is no origin."""
    return urlsplit(origin).netloc.lower()


def _name(host: str) -> str:
    """The name without port, brackets and trailing dot; the text itself if it is malformed."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return host
