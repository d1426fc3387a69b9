"""The img2img tab: its modes, in the order and with the element ids that people know."""

from __future__ import annotations

from typing import Final

import gradio as gr

from modules.core.app import App
from modules.ui.canvas import CanvasRow, Kind
from modules.ui.events import QUIET
from modules.ui.generate import Submission
from modules.ui.img2img_batch import BatchPanel
from modules.ui.img2img_order import inpaint, inpaint_sketch, inpaint_upload, plain, sketch
from modules.ui.picture_tab import Mode, PictureTab

TAB: Final = "img2img"
LABEL: Final = "img2img"

MODES: Final[tuple[Mode, ...]] = (
    Mode(
        "img2img",
        "img2img",
        (CanvasRow("img2img_image", "Image for img2img", Kind.PICTURE),),
        plain,
    ),
    Mode(
        "sketch",
        "Sketch",
        (CanvasRow("img2img_sketch", "Image for sketch", Kind.COLOURS),),
        sketch,
    ),
    Mode(
        "inpaint",
        "Inpaint",
        (CanvasRow("img2maskimg", "Image for inpainting with mask", Kind.MASK),),
        inpaint,
        has_mask=True,
    ),
    Mode(
        "inpaint_sketch",
        "Inpaint sketch",
        (CanvasRow("inpaint_sketch", "Color sketch inpainting", Kind.COLOURS),),
        inpaint_sketch,
        has_mask=True,
        fields=(("mask_alpha",),),
    ),
    Mode(
        "inpaint_upload",
        "Inpaint upload",
        (
            CanvasRow("img_inpaint_base", "Image for inpainting", Kind.PICTURE),
            CanvasRow("img_inpaint_mask", "Mask: white is painted anew", Kind.PICTURE),
        ),
        inpaint_upload,
        has_mask=True,
    ),
    Mode("batch", "Batch", (), None, has_mask=True),
)


class Img2ImgTab(PictureTab):
    """The tab's components and events; one per page."""

    modes = MODES

    def __init__(self, app: App) -> None:
        super().__init__(app, TAB)
        self._batch = BatchPanel(app, self.form)

    def build_panel(self, mode: Mode) -> None:
        """The batch's fields."""
        if mode.name == "batch":
            self._batch.build()

    def wire_generate(self, reply: gr.Textbox) -> Submission:
        """Generate starts the batch where its panel is shown."""
        submission = super().wire_generate(reply)
        self._batch.wire(submission, self.overrides, reply)
        return submission

    def recall(self, page: gr.Blocks, page_state: gr.Textbox) -> None:
        """A batch that runs is shown again."""
        super().recall(page, page_state)
        batch = self._batch
        page.load(batch.report, outputs=[batch.status, batch.timer], **QUIET)
