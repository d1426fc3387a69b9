"""Puts the page on the server: theme, scripts, stylesheet, who may enter, which files it serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import gradio as gr

from modules.core.app import App
from modules.ui.build import assemble
from modules.ui.events import in_event_loop
from modules.ui.theme import build_theme

if TYPE_CHECKING:  # a name only: fastapi belongs to the api folder
    from fastapi import FastAPI

ASSETS: Final = Path(__file__).with_name("assets")
SCRIPTS: Final = (
    "core.js",
    "form.js",
    "scripts.js",
    "prompt.js",
    "drop.js",
    "results.js",
    "jobs.js",
    "status.js",
    "queue.js",
    "canvas.js",
    "canvas_keys.js",
    "tabs.js",
    "card_text.js",
    "card_folders.js",
    "cards.js",
    "card_dialog.js",
    "models.js",
    "keys.js",
)
"""In the order in which they run; each adds one part to `easel`."""
COLOURS: Final = "colours.css"
STYLESHEETS: Final = (
    "page.css",
    "header.css",
    "controls.css",
    "form.css",
    "canvas.css",
    "results.css",
    "drawer.css",
    "cards.css",
    "card_folders.css",
    "models.css",
)
"""Rules inside the page's root element; `&` is that element."""
ROOT: Final = ".gradio-container.gradio-container.gradio-container"
"""Named three times, so that a rule of ours wins over gradio's own."""


def mount_page(server: FastAPI, app: App) -> FastAPI:
    """Mount the page at "/" and return the server."""
    in_event_loop(lambda: _mount(server, app))
    return server


def output_folders(app: App) -> list[Path]:
    """Folders whose files the browser may fetch: where the settings put pictures."""
    settings = app.settings.view()
    keys = [key for key in settings if key.startswith("outdir_") and settings[key]]
    folders = {app.paths.data / "outputs", *(app.paths.output(settings[key]) for key in keys)}
    return sorted(folders)


def root_path(subpath: str) -> str | None:
    """Gradio's root path for `--subpath`, None where none is given.

    >>> root_path("easel/"), root_path("")
    ('/easel', None)
    """
    inner = subpath.strip("/")
    return f"/{inner}" if inner else None


def _mount(server: FastAPI, app: App) -> None:
    page, config = assemble(app)
    served = output_folders(app)
    gr.set_static_paths(served)
    gr.mount_gradio_app(
        server,
        page,
        path="/",
        server_name=app.flags.host,
        server_port=app.flags.port,
        footer_links=[],
        run_history=False,
        auth=list(app.flags.gradio_auth) or None,
        root_path=root_path(app.flags.subpath),
        allowed_paths=[str(folder) for folder in served],
        favicon_path=str(ASSETS / "favicon.png"),
        show_error=True,
        ssr_mode=False,
        mcp_server=False,
        theme=build_theme(),
        head=_head(config, app.flags.theme),
    )


def _head(config: str, theme: str | None) -> str:
    """Stylesheet and script in the page's head; both are there before the components appear.

    Not gradio's `css`, which rewrites selectors and breaks those with commas in parentheses.
    """
    rules = "\n".join(_read(name) for name in STYLESHEETS)
    start = f"window.easel = {{config: {config}, theme: {theme or ''!r}}};"
    scripts = "\n".join(_read(name) for name in SCRIPTS)
    return (
        f"<style>{_read(COLOURS)}\n{ROOT} {{\n{rules}\n}}</style>"
        f"<script>{start}\n{scripts}</script>"
    )


def _read(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
