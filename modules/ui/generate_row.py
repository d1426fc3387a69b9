"""Generate, Interrupt and Skip: the buttons that every tab with jobs has."""

from __future__ import annotations

import gradio as gr

from modules.ui.events import BROWSER, QUIET
from modules.ui.generate import Submission


class GenerateRow:
    """The buttons of one tab, and the line for its errors."""

    def __init__(self, tab: str) -> None:
        self._tab = tab

    def build(self) -> None:
        """Make them in gradio's current layout block."""
        tab = self._tab
        with gr.Row(elem_id=f"{tab}_generate_box", elem_classes=["easel-generate"]):
            self.generate = gr.Button(
                "Generate", variant="primary", elem_id=f"{tab}_generate", scale=3
            )
            self._interrupt = gr.Button("Interrupt", elem_id=f"{tab}_interrupt")
            self._interrupting = gr.Button("Interrupting…", elem_id=f"{tab}_interrupting")
            self._skip = gr.Button("Skip", elem_id=f"{tab}_skip")
        gr.HTML('<div role="alert"></div>', elem_id=f"{tab}_error", elem_classes=["easel-error"])

    def wire_stopping(self, submission: Submission, reply: gr.Textbox) -> None:
        """Interrupt and Skip act on the job that the page follows."""
        job = gr.Textbox(visible="hidden", elem_id=f"{self._tab}_job")
        for button, call in (
            (self._interrupt, submission.interrupt),
            (self._interrupting, submission.interrupt),
            (self._skip, submission.skip),
        ):
            button.click(
                call, inputs=[job], outputs=[reply], js="() => [easel.jobs.followed()]", **QUIET
            ).then(inputs=[reply], js="(reply) => easel.jobs.stopping(reply)", **BROWSER)
