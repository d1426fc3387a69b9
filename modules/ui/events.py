"""How the page's events are wired: short calls that show no spinner and make no public API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar

import gradio as gr

from modules.core.errors import EaselError

log = logging.getLogger(__name__)

T = TypeVar("T")

QUIET: Final[dict[str, Any]] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}
"""For calls that answer at once: a plain request, not gradio's queue."""

TELLING: Final[dict[str, Any]] = {
    "concurrency_limit": None,
    "show_progress": "hidden",
    "api_visibility": "private",
}
"""For calls that show notices (gr.Info, gr.Warning): these travel through gradio's queue only."""

BROWSER: Final[dict[str, Any]] = {**QUIET, "fn": None, "preprocess": False, "postprocess": False}
"""For events that only run JavaScript; the server hears nothing of them."""


def tell(action: Callable[[], str]) -> None:
    """Run `action` and show the sentence that it returns as a notice, or its error as a warning."""
    try:
        sentence = action()
    except (EaselError, OSError) as error:
        log.warning("%s", error)
        gr.Warning(str(error))
        return
    gr.Info(sentence, duration=4)


def in_event_loop(build: Callable[[], T]) -> T:
    """Call `build` while an event loop runs.

    Gradio's Blocks and App make event loops that nobody closes where none is running.
    """

    async def call() -> T:
        return build()

    return asyncio.run(call())
