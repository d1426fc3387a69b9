"""A tab whose jobs start from a picture: sub-tabs with picture fields, masks, sizes.

img2img and inpaint are two of these with other modes; the modes are rows of data.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import gradio as gr
from gradio.components import Component

from modules.core.app import App
from modules.ui.canvas import Canvas, CanvasRow
from modules.ui.events import BROWSER
from modules.ui.generate import Order, Submission
from modules.ui.img2img_form import Img2ImgForm
from modules.ui.img2img_order import ReadStart, make_order
from modules.ui.interrogate import InterrogateButton
from modules.ui.job_tab import JobTab
from modules.ui.layout import Row, Tool
from modules.ui.rows import COUNT, SAMPLING, SEED, SWAP

DETECT: Final = Tool(
    "detect_image_size_btn",
    "Detect size",
    "ruler",
    "Take the size of the picture",
    ("width", "height"),
    "(w, h) => easel.canvas.detect('{tab}', [w, h])",
)
MASK: Final[tuple[Row, ...]] = (
    ("mask_blur", "inpaint_full_res_padding"),
    ("inpainting_mask_invert", "inpaint_full_res"),
    ("inpainting_fill",),
)
SOFT: Final[tuple[Row, ...]] = (
    ("mask_blend_power", "mask_blend_scale"),
    ("inpaint_detail_preservation", "composite_mask_influence"),
    ("composite_difference_threshold", "composite_difference_contrast"),
)
OUTPAINT: Final[tuple[Row, ...]] = (
    ("outpaint_left", "outpaint_right"),
    ("outpaint_up", "outpaint_down"),
)
MAIN: Final[tuple[Row, ...]] = (*SAMPLING, ("denoising_strength", "image_cfg_scale"), COUNT, SEED)

_MASK_COLOUR: Final = "img2img_inpaint_mask_brush_color"
_COLOURS: Final = {
    "sketch": "img2img_sketch_default_brush_color",
    "inpaint_sketch": "img2img_inpaint_sketch_default_brush_color",
}
"""Settings with the first colour of a brush, by mode."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One sub-tab: its picture fields, and how they become the start of a job."""

    name: str
    label: str
    canvases: tuple[CanvasRow, ...]
    read: ReadStart | None
    """None: Generate does something else there."""
    has_mask: bool = False
    fields: tuple[Row, ...] = ()
    """Rows of fields that only this mode has."""
    note: str = ""


class PictureTab(JobTab):
    """The components and events of one tab; one per page."""

    modes: tuple[Mode, ...]

    def __init__(self, app: App, tab: str) -> None:
        super().__init__(app, tab, Img2ImgForm, "outdir_img2img_samples")
        settings = app.settings.view()
        height = int(settings["img2img_editor_height"])
        self.interrogate = InterrogateButton(app, tab)
        self.tools.append(self.interrogate.build)
        self.canvases = {
            row.element: Canvas(
                row,
                brush_colour=settings[_COLOURS.get(mode.name, _MASK_COLOUR)],
                height=height,
            )
            for mode in self.modes
            for row in mode.canvases
        }

    def describe(self) -> list[dict[str, Any]]:
        """What the page's scripts need to know of the modes."""
        return [
            {
                "name": mode.name,
                "label": mode.label,
                "tab": self._mode_id(mode),
                "hasMask": mode.has_mask,
                "canvases": [self.canvases[row.element].describe() for row in mode.canvases],
            }
            for mode in self.modes
        ]

    def recall(self, page: gr.Blocks, page_state: gr.Textbox) -> None:
        """Bring back the pictures too."""
        super().recall(page, page_state)
        page.load(
            outputs=[canvas.component for canvas in self.canvases.values()],
            js=f"() => easel.canvas.restored('{self.tab}')",
            **BROWSER,
        )

    def build_controls(self) -> None:
        """Pictures on top, then what belongs to the mask, then size and sampling."""
        tab = self.tab
        with gr.Tabs(elem_id=f"mode_{tab}", elem_classes=["easel-modes"], overflow_behavior="wrap"):
            for mode in self.modes:
                with gr.Tab(mode.label, id=f"{tab}_{mode.name}_mode", elem_id=self._mode_id(mode)):
                    self._build_mode(mode)
        gr.HTML(self._copy_row(), padding=False, elem_classes=["easel-copies"])
        for canvas in self.canvases.values():
            canvas.wire()
        with gr.Column(elem_id=f"{tab}_mask_controls", elem_classes=["easel-mask-controls"]):
            self._build_mask()
        self._build_size()
        self.layout.rows(MAIN)
        self.build_variation()
        self.build_refiner()
        self.scripts.build()

    def build_panel(self, mode: Mode) -> None:
        """Make what a mode has beside its pictures and fields; nothing by default."""

    def wire_generate(self, reply: gr.Textbox) -> Submission:
        """One hidden button per mode: a job takes along only the pictures of its own mode."""
        tab = self.tab
        self._row.generate.click(js=f"() => easel.canvas.generate('{tab}')", **BROWSER)
        first: Submission | None = None
        for mode in self.modes:
            if mode.read is None:
                continue
            pictures = [self.canvases[row.element].component for row in mode.canvases]
            names = ("init_images", "mask")
            elements = {n: row.element for n, row in zip(names, mode.canvases, strict=False)}
            elements.setdefault("mask", mode.canvases[0].element)
            submission = Submission(
                self.app,
                self.form,
                self.overrides,
                read=self._reader(mode.read, pictures),
                elements=elements,
                scripts=self.scripts,
            )
            go = gr.Button("Go", visible="hidden", elem_id=f"{tab}_go_{mode.name}")
            self.queue_on(go, submission, reply, pictures)
            first = first or submission
        assert first is not None
        shown = [
            (mode.name, self.canvases[mode.canvases[0].element].component)
            for mode in self.modes
            if mode.canvases
        ]
        self.interrogate.wire(shown, self.form.fields["prompt"])
        return first

    def _reader(
        self, read: ReadStart, pictures: list[Component]
    ) -> Callable[[Mapping[Component, Any]], Order]:
        def order(values: Mapping[Component, Any]) -> Order:
            return make_order(read, self.form.read(values), [values[one] for one in pictures])

        return order

    def _mode_id(self, mode: Mode) -> str:
        return f"{self.tab}_{mode.name}_tab"

    def _build_mode(self, mode: Mode) -> None:
        with gr.Row(elem_classes=["easel-pictures"]):
            for row in mode.canvases:
                self.canvases[row.element].build()
        if mode.note:
            gr.HTML(f'<p class="easel-note">{html.escape(mode.note)}</p>', padding=False)
        self.layout.rows(mode.fields)
        self.build_panel(mode)

    def _copy_row(self) -> str:
        """Buttons that copy the picture of the shown mode to another one, and show it large."""
        buttons = "".join(
            f'<button type="button" data-copy-to="{mode.name}" '
            f'title="Copy the picture to {html.escape(mode.label)}">{html.escape(mode.label)}'
            "</button>"
            for mode in self.modes
            if mode.canvases
        )
        large = "As large as the window (S)"
        full = f'<button type="button" data-full title="{large}">Full window</button>'
        return (
            f'<div class="easel-copy-row" data-tab="{self.tab}"><span>Copy picture to</span>'
            f"{buttons}{full}</div>"
        )

    def _build_mask(self) -> None:
        tab = self.tab
        self.layout.rows(MASK)
        with gr.Column(elem_id=f"{tab}_soft_box", elem_classes=["easel-switch-fold"]):
            self.form.field("enabled")
            with gr.Accordion(
                "Soft inpainting", open=False, elem_id=f"{tab}_soft", elem_classes=["easel-fold"]
            ):
                self.layout.rows(SOFT)

    def _build_size(self) -> None:
        with gr.Column(elem_id=f"{self.tab}_size", elem_classes=["easel-size"]):
            self.layout.rows((("resize_mode",), ("resize_by",)))
            with gr.Column(elem_classes=["easel-size-to"]):
                self.layout.rows((("width", SWAP, "height", DETECT),))
            with gr.Column(elem_classes=["easel-size-by"]):
                self.layout.rows((("scale",),))
                gr.HTML(
                    f'<p class="easel-note" id="{self.tab}_size_words" role="status"></p>',
                    padding=False,
                )
