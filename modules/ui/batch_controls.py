"""A batch that a tab started: its status, its Stop button, and the events of both.

What a batch does stands in `modules.batch`; each tab plans its own.
"""

from __future__ import annotations

import html
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import gradio as gr
from gradio.components import Component

from modules.batch import BatchRun, Progress
from modules.core.errors import BadInput, EaselError
from modules.ui.events import BROWSER, QUIET
from modules.ui.form import Form

_REFRESH_S: Final = 1.5


class BatchControls(ABC):
    """Starts, shows and stops the batches of one tab. Knows the one that was started last."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._run: BatchRun | None = None

    def start(
        self, values: Mapping[Component, Any], request: gr.Request
    ) -> tuple[str, str, gr.Timer]:
        """Begin a batch; returns the reply for the page's scripts, the status, the timer."""
        reply: dict[str, Any] = {"call": secrets.token_hex(4)}
        try:
            if self._run and self._run.progress.is_running:
                raise BadInput("batch", "another one", "wait for the batch that runs, or stop it")
            run = self._plan(values, request.username or "")
            run.start()
            self._run = run
        except EaselError as error:
            reply |= {"error": str(error), "field": self._element(error)}
        return json.dumps(reply), *self.report()

    def stop(self) -> tuple[str, gr.Timer]:
        """Stop the batch; what is done stays, and a later start goes on from there."""
        if self._run:
            self._run.stop()
        return self.report()

    def report(self) -> tuple[str, gr.Timer]:
        """The status as HTML, and a timer that goes on as long as the batch does."""
        if self._run is None:
            return "", gr.Timer(_REFRESH_S, active=False)
        progress = self._run.progress
        text = describe(progress, self._run.folder)
        return text, gr.Timer(_REFRESH_S, active=progress.is_running)

    def _build_controls(self) -> None:
        """Make the status and the Stop button in gradio's current layout block."""
        tab = self._form.tab
        self.status = gr.HTML("", elem_id=f"{tab}_batch_status")
        self._stop = gr.Button("Stop the batch", size="sm", elem_id=f"{tab}_batch_stop")

    def _wire_controls(self, mode: str, fields: Iterable[Component], reply: gr.Textbox) -> None:
        """Connect the tab's hidden button of `mode`; `fields` travel beside the form's."""
        tab = self._form.tab
        self.timer = gr.Timer(_REFRESH_S, active=False)
        shown = [self.status, self.timer]
        go = gr.Button("Go", visible="hidden", elem_id=f"{tab}_go_{mode}")
        go.click(
            self.start,
            inputs={*self._form.fields.values(), *fields},
            outputs=[reply, *shown],
            preprocess=False,
            **QUIET,
        ).then(inputs=[reply], js=f"(reply) => easel.jobs.submitted('{tab}', reply)", **BROWSER)
        self._stop.click(self.stop, outputs=shown, **QUIET)
        self.timer.tick(self.report, outputs=shown, **QUIET)

    def _element(self, error: EaselError) -> str:
        """The id of the field that an error is about; empty where there is none."""
        if not isinstance(error, BadInput):
            return ""
        parameter = self._form.parameters.get(error.field)
        if parameter:
            return parameter.element_id(self._form.tab) or ""
        return f"{self._form.tab}_{error.field}" if error.field.startswith("batch_") else ""

    @abstractmethod
    def _plan(self, values: Mapping[Component, Any], user: str) -> BatchRun:
        """The batch that the fields' values ask for, not begun. Raises EaselError."""


def describe(progress: Progress, folder: Path) -> str:
    """Where a batch is, as HTML."""
    words = {"running": "Working", "done": "Done", "stopped": "Stopped"}
    place = progress.done + progress.skipped + progress.failed
    parts = [f"{words[progress.state]}: {place} of {progress.total}", f"{progress.done} made"]
    if progress.skipped:
        parts.append(f"{progress.skipped} were there")
    if progress.failed:
        parts.append(f"{progress.failed} could not be used")
    if progress.current:
        parts.append(f"now {progress.current}")
    lines = [f"<li><b>{html.escape(name)}</b>: {html.escape(why)}</li>"
             for name, why in progress.failures]  # fmt: skip
    failures = f'<ul class="easel-failures">{"".join(lines)}</ul>' if lines else ""
    text = html.escape(" · ".join(parts))
    where = html.escape(str(folder))
    return (
        f'<div role="status"><p class="easel-note">{text}<br>Results in {where}</p>{failures}</div>'
    )
