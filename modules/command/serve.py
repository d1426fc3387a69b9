"""`python webui.py`: the page and the REST API on one port, until Ctrl+C or SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import webbrowser
from typing import Any, NoReturn

import uvicorn

from modules.core.app import VERSION, App

log = logging.getLogger(__name__)

CLOSING_S = 3.5
"""How long a running job may take to notice that it must end; all in all the exit takes < 5 s."""


def serve(app: App) -> NoReturn:
    """Serve until stopped, and end the process."""
    started = time.perf_counter()
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported
    for warning in app.flags.warnings:
        log.warning(warning)
    server = _Server(app, uvicorn.Config(_application(app), **_options(app)))
    sockets = [server.config.bind_socket()]
    port = sockets[0].getsockname()[1]
    _announce(app, port, time.perf_counter() - started)
    begin_when_up(app, server)
    asyncio.run(server.serve(sockets=sockets))
    logging.shutdown()
    os._exit(0)  # taking torch and gradio apart would take seconds; everything is written


def _application(app: App) -> Any:
    from modules.api.server import build_server

    api = build_server(app)
    if app.flags.nowebui:
        return api
    from modules.ui.mount import mount_page

    return mount_page(api, app)


def _options(app: App) -> dict[str, Any]:
    flags = app.flags
    return {
        "host": flags.host,
        "port": flags.port,
        "log_level": "warning",
        "timeout_keep_alive": flags.timeout_keep_alive,
        "timeout_graceful_shutdown": 1,
        "ssl_keyfile": str(flags.tls_keyfile) if flags.tls_keyfile else None,
        "ssl_certfile": str(flags.tls_certfile) if flags.tls_certfile else None,
        "ws": "none",
    }


def _announce(app: App, port: int, seconds: float) -> None:
    scheme = "https" if app.flags.tls_certfile else "http"
    host = "127.0.0.1" if app.flags.host in ("0.0.0.0", "::") else app.flags.host
    prefix = f"/{app.flags.subpath}" if app.flags.subpath else ""
    address = f"{scheme}://{host}:{port}{prefix}"
    log.info("Easel %s is ready after %.1f s: %s", VERSION, seconds, address)
    if app.flags.autolaunch:
        threading.Timer(0.5, webbrowser.open, (address,)).start()


def begin_when_up(app: App, server: uvicorn.Server) -> None:
    """Call app_started, go on with the queue, load model and scripts, once the server answers."""

    def begin() -> None:
        while not server.started and not server.should_exit:
            time.sleep(0.02)
        app.hooks.call("app_started", server.config.app)
        app.jobs.resume()
        if not app.flags.skip_load_model_at_start:
            app.models.preload_setting(app.settings.view())
        app.scripts.warm()  # without a page nothing else has loaded them, nor gradio

    threading.Thread(target=begin, name="easel-begin", daemon=True).start()


class _Server(uvicorn.Server):
    """Stops the queue as soon as the stop is asked for, so that waiting requests are answered."""

    def __init__(self, app: App, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: object) -> None:
        """Of Ctrl+C and SIGTERM; a second one does not wait for open connections."""
        if self.should_exit:
            self.force_exit = True
            return
        self.should_exit = True
        threading.Thread(target=self._close, name="easel-close", daemon=True).start()

    def _close(self) -> None:
        log.info("Stopping; what is not done goes on after the next start")
        deadline = threading.Timer(CLOSING_S, os._exit, (0,))
        deadline.daemon = True
        deadline.start()  # a worker that does not listen must not keep the program alive
        self._app.jobs.close(CLOSING_S)
