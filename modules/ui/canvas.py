"""A picture field of a tab, and the two hidden buttons by which scripts fill and read it.

The page's `canvas.js` sends pictures from field to field, keeps them over a reload, and tells
their sizes; it does all that through these buttons.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import gradio as gr
from gradio.components import Component

from modules.ui.events import BROWSER

SOURCES = ("upload", "clipboard")
BRUSH_SIZE = 40
"""Pixels of the picture."""


class Kind(Enum):
    """What a field takes."""

    PICTURE = "picture"
    MASK = "mask"
    """A picture, and a brush that marks."""
    COLOURS = "colours"
    """A picture, and a brush that paints."""


@dataclass(frozen=True, slots=True)
class CanvasRow:
    """One picture field, as data."""

    element: str
    """Element id; A1111's where it has the field."""
    label: str
    kind: Kind
    wants: str = "Drop a picture here, paste one, or click to choose a file"


class Canvas:
    """The components of one picture field."""

    def __init__(self, row: CanvasRow, *, brush_colour: str, height: int) -> None:
        """`brush_colour`: of the mask, or of the first colour; `height`: in pixels, at most."""
        self.row = row
        self._colour = brush_colour
        self._height = f"min({height}px, 52vh)"
        self.component: Component

    def build(self) -> None:
        """Make the field in gradio's current layout block."""
        self.component = self._picture() if self.row.kind is Kind.PICTURE else self._editor()

    def wire(self) -> None:
        """Make the hidden buttons, in a block that is rendered before the field is first seen."""
        element = self.row.element
        put = gr.Button("Put", visible="hidden", elem_id=f"{element}_put")
        get = gr.Button("Get", visible="hidden", elem_id=f"{element}_get")
        put.click(outputs=[self.component], js=f"() => easel.canvas.taken('{element}')", **BROWSER)
        get.click(
            inputs=[self.component], js=f"(v) => easel.canvas.given('{element}', v)", **BROWSER
        )

    def describe(self) -> dict[str, str]:
        """What the page's scripts need to know."""
        return {"id": self.row.element, "kind": self.row.kind.value}

    def _picture(self) -> gr.Image:
        return gr.Image(
            label=self.row.label,
            type="filepath",
            sources=list(SOURCES),
            height=self._height,
            image_mode=None,
            buttons=["fullscreen"],
            elem_id=self.row.element,
            elem_classes=["easel-canvas"],
            placeholder=self.row.wants,
            interactive=True,
        )

    def _editor(self) -> gr.ImageEditor:
        is_mask = self.row.kind is Kind.MASK
        colour = (self._colour, 0.7) if is_mask else self._colour
        palette = [] if is_mask else ["#000000", "#dc2626", "#f59e0b", "#16a34a", "#2563eb"]
        return gr.ImageEditor(
            label=self.row.label,
            type="filepath",
            sources=list(SOURCES),
            height=self._height,
            image_mode="RGBA",
            buttons=["fullscreen"],
            elem_id=self.row.element,
            elem_classes=["easel-canvas", "easel-editor", f"is-{self.row.kind.value}"],
            placeholder=self.row.wants,
            transforms=(),
            layers=False,
            brush=gr.Brush(
                default_size=BRUSH_SIZE,
                colors=[colour, *palette],
                default_color=colour,
                color_mode="fixed" if is_mask else "defaults",
            ),
            eraser=gr.Eraser(default_size=BRUSH_SIZE),
            interactive=True,
        )
