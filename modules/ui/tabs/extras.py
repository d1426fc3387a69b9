"""The extras tab: finished pictures made larger, one or several at a time."""

from __future__ import annotations

from typing import Any, Final

import gradio as gr
from gradio.components import Component

from modules.core.app import App
from modules.params.extras import ExtrasOptions
from modules.processing.extras import FOLDER_SETTING
from modules.ui.canvas import Canvas, CanvasRow, Kind
from modules.ui.events import BROWSER, QUIET
from modules.ui.extras_folder import ExtrasFolder
from modules.ui.extras_submission import ExtrasSubmission
from modules.ui.form import Form
from modules.ui.generate_row import GenerateRow
from modules.ui.layout import Layout, Tool
from modules.ui.results import Results

TAB: Final = "extras"
LABEL: Final = "Extras"

SINGLE: Final = CanvasRow("extras_image", "Source", Kind.PICTURE)
SWAP: Final = Tool(
    "res_switch_btn",
    "Swap",
    "swap",
    "Swap width and height",
    ("upscaling_resize_w", "upscaling_resize_h"),
    "(w, h) => [h, w]",
)
MODES: Final = (
    ("extras", "Single image", "single"),
    ("batch", "Batch", "batch_process"),
    ("folder", "From folder", "batch_directory"),
)
"""Name, label, and element id without prefix and `_tab`; the first takes pictures that are sent."""
_NOTE: Final = (
    '<p class="easel-note">Each picture becomes a file of its own name in the folder of extras.</p>'
)


class ExtrasTab:
    """The tab's components and events; one per page."""

    tab = TAB

    def __init__(self, app: App) -> None:
        self.app = app
        self.form = Form(ExtrasOptions, TAB, app)
        self.layout = Layout(self.form)
        self.results = Results(app, TAB, FOLDER_SETTING)
        self._row = GenerateRow(TAB)
        height = int(app.settings.view()["img2img_editor_height"])
        self._canvas = Canvas(SINGLE, brush_colour="#ffffff", height=height)
        self._files: gr.File
        self._folder = ExtrasFolder(app, self.form)
        hides_folders = bool(app.flags.all.get("hide_ui_dir_config"))
        self._modes = MODES[:2] if hides_folders else MODES

    def describe(self) -> list[dict[str, Any]]:
        """What the page's scripts need to know of the modes."""
        canvases = {"extras": [self._canvas.describe()]}
        return [
            {
                "name": name,
                "label": label,
                "tab": f"{TAB}_{element}_tab",
                "hasMask": False,
                "canvases": canvases.get(name, []),
            }
            for name, label, element in self._modes
        ]

    def build(self, page_state: gr.Textbox) -> None:
        """Make the tab in gradio's current layout block."""
        with gr.Row(elem_id=f"{TAB}_layout", elem_classes=["easel-layout"]):
            with (
                gr.Column(elem_classes=["easel-left"]),
                gr.Column(elem_id=f"{TAB}_settings", elem_classes=["easel-controls"]),
            ):
                self._build_pictures()
                self._build_fields()
            with gr.Column(elem_classes=["easel-right"]):
                with gr.Column(elem_id=f"{TAB}_actions_column", elem_classes=["easel-actions"]):
                    self._row.build()
                with gr.Column(elem_id=f"{TAB}_results", elem_classes=["easel-results"]):
                    self.results.build()
        self._canvas.wire()
        self.layout.wire()
        self._wire()

    def recall(self, page: gr.Blocks, page_state: gr.Textbox) -> None:
        """Bring back the fields and the picture, when the page loads."""
        kept = list(self.form.fields.values())
        page.load(
            inputs=[page_state, *kept],
            outputs=kept,
            js=f"(...values) => easel.form.recall('{TAB}', values)",
            **BROWSER,
        )
        page.load(
            outputs=[self._canvas.component],
            js=f"() => easel.canvas.restored('{TAB}')",
            **BROWSER,
        )
        if self._modes == MODES:
            folder = self._folder
            page.load(folder.report, outputs=[folder.status, folder.timer], **QUIET)

    def _build_pictures(self) -> None:
        with gr.Tabs(elem_id=f"mode_{TAB}", elem_classes=["easel-modes"], overflow_behavior="wrap"):
            for name, label, element in self._modes:
                with gr.Tab(label, id=f"{TAB}_{name}_mode", elem_id=f"{TAB}_{element}_tab"):
                    if name == "extras":
                        with gr.Row(elem_classes=["easel-pictures"]):
                            self._canvas.build()
                    elif name == "batch":
                        self._build_files()
                    else:
                        self._folder.build()

    def _build_files(self) -> None:
        self._files = gr.File(
            label="Pictures",
            file_count="multiple",
            elem_id=f"{TAB}_image_batch",
            elem_classes=["easel-takes-pictures"],
            file_types=["image"],
            height=140,
        )
        gr.HTML(_NOTE, padding=False)

    def _build_fields(self) -> None:
        rows = self.layout.rows
        rows((("upscaler_1",),))
        with gr.Column(elem_id=f"{TAB}_size", elem_classes=["easel-size"]):
            rows((("resize_mode",),))
            with gr.Column(elem_classes=["easel-size-by"]):
                rows((("upscaling_resize", "upscale_max_side_length"),))
            with gr.Column(elem_classes=["easel-size-to"]):
                width, height = "upscaling_resize_w", "upscaling_resize_h"
                rows(((width, SWAP, height), ("upscaling_crop",)))
        with gr.Accordion(
            "Second upscaler", open=False, elem_id=f"{TAB}_second", elem_classes=["easel-fold"]
        ):
            rows((("upscaler_2", "extras_upscaler_2_visibility"),))

    def _wire(self) -> None:
        fields = list(self.form.fields.values())
        gr.on(
            [field.change for field in fields],
            inputs=fields,
            js=f"(...values) => easel.form.remember('{TAB}', values)",
            **BROWSER,
        )
        reset = gr.Button("Reset", visible="hidden", elem_id=f"{TAB}_reset_field")
        reset.click(
            inputs=fields,
            outputs=fields,
            js=f"(...values) => easel.form.reset('{TAB}', values)",
            **BROWSER,
        )
        reply = gr.Textbox(visible="hidden", elem_id=f"{TAB}_reply")
        self._row.generate.click(js=f"() => easel.canvas.generate('{TAB}')", **BROWSER)
        sources = {"extras": self._canvas.component, "batch": self._files}
        submissions = [self._queue_on(name, source, reply) for name, source in sources.items()]
        if self._modes == MODES:
            self._folder.wire(reply)
        self._row.wire_stopping(submissions[0], reply)

    def _queue_on(self, mode: str, source: Component, reply: gr.Textbox) -> ExtrasSubmission:
        """One hidden button per mode: only the shown mode's pictures travel."""
        submission = ExtrasSubmission(self.app, self.form, source)
        go = gr.Button("Go", visible="hidden", elem_id=f"{TAB}_go_{mode}")
        go.click(
            submission.submit,
            inputs={*self.form.fields.values(), source},
            outputs=[reply],
            preprocess=False,
            trigger_mode="multiple",
            **QUIET,
        ).then(inputs=[reply], js=f"(reply) => easel.jobs.submitted('{TAB}', reply)", **BROWSER)
        return submission
