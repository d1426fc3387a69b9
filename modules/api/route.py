"""How a route is written down: a row of a table, and what every endpoint can ask for.

Also the stricter reading of request bodies that all routes share.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, cast

import anyio
import anyio.to_thread
import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute

from modules.api.preview import PreviewEncoder
from modules.api.tokens import TokenCounter
from modules.core.app import App

_LARGE_BODY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Route:
    """One row: the endpoint's docstring and annotations make its entry in the API's page."""

    method: str
    path: str
    endpoint: Callable[..., Any]
    reply: Any = None
    """What the reply looks like, where the endpoint's annotation does not say it."""


async def current_app(request: Request) -> App:
    """The App that this server was built for.

    This and the others are coroutines only so that they take no thread of the server's.
    """
    return cast(App, request.app.state.easel)


async def current_user(request: Request) -> str:
    """Who logged in for this request, "" if nobody had to."""
    return str(getattr(request.state, "user", ""))


async def current_previews(request: Request) -> PreviewEncoder:
    """The encoder of live previews that all routes of this server share."""
    return cast(PreviewEncoder, request.app.state.previews)


async def current_tokens(request: Request) -> TokenCounter:
    """The token counter that all routes of this server share."""
    return cast(TokenCounter, request.app.state.tokens)


async def current_looks(request: Request) -> anyio.CapacityLimiter:
    """How many threads look at pictures at a time; those who wait for one take none."""
    return cast(anyio.CapacityLimiter, request.app.state.looks)


EaselApp = Annotated[App, Depends(current_app)]
Previews = Annotated[PreviewEncoder, Depends(current_previews)]
Tokens = Annotated[TokenCounter, Depends(current_tokens)]
Looks = Annotated[anyio.CapacityLimiter, Depends(current_looks)]
User = Annotated[str, Depends(current_user)]


class StrictRequest(Request):
    """A request whose body is JSON as RFC 8259 has it: no NaN, no halves of surrogate pairs."""

    async def json(self) -> Any:
        """The parsed body. Raises json.JSONDecodeError, which FastAPI answers with 422."""
        body = await self.body()
        if len(body) > _LARGE_BODY_BYTES:
            return await anyio.to_thread.run_sync(orjson.loads, body)
        return orjson.loads(body)


class StrictRoute(APIRoute):
    """A route that reads its body through StrictRequest."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler behind our reading of the body."""
        handler = super().get_route_handler()

        async def read_strictly(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return read_strictly


def make_router(rows: Iterable[Route], guard: Dependency | None = None) -> APIRouter:
    """A router over the rows, each behind `guard` if there is one."""
    router = APIRouter(route_class=StrictRoute, dependencies=[guard] if guard else [])
    for row in rows:
        router.add_api_route(
            row.path,
            row.endpoint,
            methods=[row.method],
            **({"response_model": row.reply} if row.reply is not None else {}),
        )
    return router
