"""Logging of the whole program: one format, one handler, prompts only at debug level."""

from __future__ import annotations

import logging
import sys


def configure_logging(level: str | None = None) -> None:
    """Send log records to stderr; `level` is a standard level name, INFO when None."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel((level or "INFO").upper())
    for chatty in (
        "httpx",
        "httpcore",
        "urllib3",
        "PIL",
        "asyncio",
        "matplotlib",
        "uvicorn.access",
    ):
        logging.getLogger(chatty).setLevel(logging.WARNING)
