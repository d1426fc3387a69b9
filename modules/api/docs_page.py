"""The API's page at /docs: Swagger UI from a package, nothing from other servers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

_ASSETS = "/docs/assets"
_NO_VALIDATOR = {"validatorUrl": None}
"""Swagger UI would else send the description of the API to swagger.io for a badge."""


def add_docs_page(server: FastAPI) -> None:
    """Serve /docs and its assets."""
    server.mount(_ASSETS, StaticFiles(directory=assets_folder()), name="docs-assets")

    async def docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "").rstrip("/")
        return _page(server.title, root)

    server.add_route("/docs", docs, methods=["GET"], include_in_schema=False)


def assets_folder() -> Path:
    """Where Swagger UI's files lie: in the package fastapi-standalone-docs, which carries them.

    The package is only looked up, not imported: it would change FastAPI for the whole process.
    """
    spec = importlib.util.find_spec("fastapi_standalone_docs")
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise ModuleNotFoundError("fastapi-standalone-docs is missing: see requirements.txt")
    return Path(places[0]) / "static"


def _page(title: str, root: str) -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title=f"{title}: API",
        swagger_js_url=f"{root}{_ASSETS}/swagger/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{_ASSETS}/swagger/swagger-ui.css",
        swagger_favicon_url=f"{root}{_ASSETS}/fastapi/favicon.png",
        swagger_ui_parameters=_NO_VALIDATOR,
    )
