"""The txt2img tab: which fields it has, and where each of them stands."""

from __future__ import annotations

from typing import Final

import gradio as gr

from modules.core.app import App
from modules.params import Txt2ImgParams
from modules.ui.generate import Submission
from modules.ui.job_tab import JobTab
from modules.ui.layout import Row
from modules.ui.rows import COUNT, SAMPLING, SEED, SIZE

TAB: Final = "txt2img"
LABEL: Final = "txt2img"

MAIN: Final[tuple[Row, ...]] = (*SAMPLING, SIZE, COUNT, SEED)
HIRES: Final[tuple[Row, ...]] = (
    ("hr_upscaler", "hr_second_pass_steps"),
    ("denoising_strength", "hr_scale"),
    ("hr_resize_x", "hr_resize_y"),
    ("hr_checkpoint_name",),
    ("hr_sampler_name", "hr_scheduler"),
    ("hr_prompt", "hr_negative_prompt"),
)


class Txt2ImgTab(JobTab):
    """The tab's components and events; one per page."""

    def __init__(self, app: App) -> None:
        super().__init__(app, TAB, Txt2ImgParams, "outdir_txt2img_samples")

    def build_controls(self) -> None:
        """The fields, and the fold of the second pass."""
        self.layout.rows(MAIN)
        self.build_variation()
        with gr.Column(elem_id=f"{TAB}_hr_box", elem_classes=["easel-switch-fold"]):
            self.form.field("enable_hr")
            with gr.Accordion(
                "Hires. fix", open=False, elem_id=f"{TAB}_hr", elem_classes=["easel-fold"]
            ):
                self.layout.rows(HIRES)
        self.build_refiner()
        self.scripts.build()

    def wire_generate(self, reply: gr.Textbox) -> Submission:
        """One button, one job."""
        submission = Submission(self.app, self.form, self.overrides, scripts=self.scripts)
        self.queue_on(self._row.generate, submission, reply)
        return submission
