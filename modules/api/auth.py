"""Who may use which routes: HTTP Basic, and the page's login cookie.

--api-auth protects /sdapi, --gradio-auth the page (A1111 1.10 behaviour). Two rules are ours,
because here the API is there without --api: an API that nobody asked for is served on loopback
only, and where the page needs a login, so does that API.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials
from fastapi.security.http import HTTPBase

from modules.setup.flags import Flags

Users = tuple[tuple[str, str], ...]

_BASIC = HTTPBase(
    scheme="basic", auto_error=False, description="A name and password of --api-auth."
)


class RequireLogin:
    """A dependency that lets through who knows a password or has logged in to the page."""

    def __init__(self, users: Users, *, asks: bool = True) -> None:
        """`asks`: whether a refusal makes browsers show their password window."""
        self._users = users
        self._asks = asks

    async def __call__(
        self,
        request: Request,
        basic: Annotated[HTTPAuthorizationCredentials | None, Depends(_BASIC)],
    ) -> None:
        """Note the user's name in the request's state. Raises HTTPException 401."""
        user = self._by_password(*_name_and_password(basic)) if basic else None
        user = user or page_user(request)
        if user is None:
            headers = {"WWW-Authenticate": "Basic"} if self._asks else None
            raise HTTPException(401, "Incorrect username or password", headers)
        request.state.user = user

    def _by_password(self, user: str, word: str) -> str | None:
        """The name, if the password is its own; takes the same time for all users."""
        found = None
        for name, password in self._users:
            is_name = secrets.compare_digest(user.encode(), name.encode())
            is_password = secrets.compare_digest(word.encode(), password.encode())
            if is_name & is_password:
                found = name
        return found


def _name_and_password(given: HTTPAuthorizationCredentials) -> tuple[str, str]:
    """RFC 7617, with UTF-8 where FastAPI's own reader allows ASCII only; empty if malformed."""
    try:
        data = base64.b64decode(given.credentials, validate=True)
    except (binascii.Error, ValueError):
        return "", ""
    name, _, password = data.decode("utf-8", "replace").partition(":")
    return (name, password) if given.scheme.lower() == "basic" else ("", "")


def api_is_served(flags: Flags) -> bool:
    """Whether /sdapi is there: asked for by a flag, or reachable from this machine only."""
    return flags.api or flags.nowebui or not flags.is_public


def api_guard(flags: Flags) -> RequireLogin | None:
    """What protects /sdapi."""
    if flags.api_auth:
        return RequireLogin(flags.api_auth)
    if flags.gradio_auth and not (flags.api or flags.nowebui):
        return RequireLogin(flags.gradio_auth)
    return None


def page_guard(flags: Flags) -> RequireLogin | None:
    """What protects the page's own routes: the same as the page, or --api-auth without one."""
    if flags.nowebui:
        return RequireLogin(flags.api_auth) if flags.api_auth else None
    if flags.gradio_auth:
        return RequireLogin(flags.gradio_auth + flags.api_auth, asks=False)
    return None


def page_user(request: Request) -> str | None:
    """The user whose login cookie of the page came with the request.

    The cookie is gradio's: `access-token-<id>` and, without TLS, `access-token-unsecure-<id>`;
    the mounted page's app holds the id and the names by token.
    """
    page = _page(request)
    if page is None:
        return None
    for kind in ("access-token", "access-token-unsecure"):
        token = request.cookies.get(f"{kind}-{page.cookie_id}")
        if token and token in page.tokens:
            return str(page.tokens[token])
    return None


def _page(request: Request) -> Any | None:
    mounted = (getattr(route, "app", None) for route in request.app.routes)
    return next((app for app in mounted if hasattr(app, "cookie_id")), None)
