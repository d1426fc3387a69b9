"""How the page's events are wired: short calls that show no spinner and make no public API."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import gradio as gr

from modules.core.errors import EaselError

log = logging.getLogger(__name__)

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
