"""The server: every route of the API behind its guard, and what all requests pass through."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import anyio
from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import RedirectResponse

from modules.api import (
    cards,
    catalogue,
    control,
    downloads,
    extras,
    generate,
    interrogate,
    options,
    status,
    system,
)
from modules.api.auth import RequireLogin, api_guard, api_is_served, page_guard
from modules.api.docs_page import add_docs_page
from modules.api.errors import add_error_handlers
from modules.api.middleware import ApiGZip, Edge, Subpath
from modules.api.origin import OriginGuard
from modules.api.preview import PreviewEncoder
from modules.api.route import Route, make_router
from modules.api.tokens import TokenCounter
from modules.cards import Shelf, Thumbnails
from modules.core.app import VERSION, App
from modules.downloads import Downloads, Hub, Kind
from modules.model_manager.library import FileKind
from modules.setup.flags import Flags

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 512 << 20

API_ROUTES: tuple[Route, ...] = (
    *generate.ROUTES,
    *extras.ROUTES,
    *interrogate.ROUTES,
    *control.ROUTES,
    *options.ROUTES,
    *catalogue.ROUTES,
    *system.ROUTES,
)
OPEN_ROUTES: tuple[Route, ...] = control.OPEN_ROUTES
PAGE_ROUTES: tuple[Route, ...] = (
    *control.PAGE_ROUTES,
    *status.PAGE_ROUTES,
    *cards.PAGE_ROUTES,
    *downloads.PAGE_ROUTES,
)
STOP_ROUTES: tuple[Route, ...] = system.STOP_ROUTES


def build_server(app: App, *, hub: Hub | None = None) -> FastAPI:
    """A server of the API alone; the page is mounted on it afterwards.

    hub: where models are downloaded from; None is the one of the user's environment.
    """
    flags = app.flags
    server = FastAPI(
        title="Easel",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        max_body_size=MAX_BODY_BYTES,
    )
    server.state.easel = app
    server.state.previews = PreviewEncoder()
    server.state.tokens = TokenCounter()
    server.state.looks = anyio.CapacityLimiter(1)  # CLIP takes one picture at a time
    server.state.cards = Shelf(app.models.library)
    server.state.thumbnails = Thumbnails(app.paths.cache / "thumbnails")
    server.state.downloads = Downloads(app.paths, on_done=_list_again(app), hub=hub)
    _add_middleware(server, flags)
    add_error_handlers(server)
    _add_routes(server, flags)
    return server


def _add_middleware(server: FastAPI, flags: Flags) -> None:
    """The last one added is the outermost."""
    if flags.subpath:
        server.add_middleware(Subpath, prefix=f"/{flags.subpath}")
    server.add_middleware(ApiGZip)
    if flags.cors_allow_origins or flags.cors_allow_origins_regex:
        server.add_middleware(
            CORSMiddleware,
            allow_origins=flags.cors_allow_origins,
            allow_origin_regex=flags.cors_allow_origins_regex,
            allow_methods=["*"],
            allow_headers=["*"],
            allow_credentials=True,
        )
    server.add_middleware(OriginGuard, flags=flags)
    server.add_middleware(Edge, logs_calls=flags.api_log)


def _add_routes(server: FastAPI, flags: Flags) -> None:
    add_docs_page(server)
    _include(server, OPEN_ROUTES, None)
    _include(server, PAGE_ROUTES, page_guard(flags))
    if api_is_served(flags):
        stop = STOP_ROUTES if flags.api_server_stop else ()
        _include(server, (*API_ROUTES, *stop), api_guard(flags))
    else:
        log.info("/sdapi is not served to other machines; --api turns it on.")
    if flags.nowebui:
        server.add_api_route("/", _go_to_docs, include_in_schema=False)


def _include(server: FastAPI, rows: tuple[Route, ...], guard: RequireLogin | None) -> None:
    server.include_router(make_router(rows, Depends(guard) if guard else None))


def _list_again(app: App) -> Callable[[Path, Kind], None]:
    """What makes a file that was downloaded appear in the lists."""
    kinds = {str(kind) for kind in FileKind}

    def refresh(path: Path, kind: Kind) -> None:
        if kind is Kind.CHECKPOINT:
            app.models.catalogue.refresh()
        if kind is Kind.VAE:
            app.models.vaes.refresh()
        if kind in kinds:
            app.models.library.refresh(FileKind(kind))

    return refresh


def _go_to_docs() -> RedirectResponse:
    return RedirectResponse("docs")
