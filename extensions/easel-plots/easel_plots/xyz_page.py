"""The fields of the X/Y/Z plot on the page. Imports gradio when the page is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from easel_plots.axes import axes_of
from easel_plots.names import menu
from easel_plots.order import LETTERS
from easel_plots.values import join_values, split_values
from modules.core.errors import BadInput

ElementId = Callable[[str], str]
Files = Callable[[str], Sequence[str]]

QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""For events that answer at once."""
FILL = "📒 All"
"""Takes every name that the axis offers."""
SWAPS = ((0, 1, "Swap X/Y"), (1, 2, "Swap Y/Z"), (0, 2, "Swap X/Z"))
SWITCHES = (
    ("draw_legend", "Draw legend", True),
    ("no_fixed_seeds", "Keep -1 for seeds", False),
    ("vary_seeds_x", "Vary seeds for X", False),
    ("vary_seeds_y", "Vary seeds for Y", False),
    ("vary_seeds_z", "Vary seeds for Z", False),
    ("include_lone_images", "Include Sub Images", False),
    ("include_sub_grids", "Include Sub Grids", False),
    ("csv_mode", "Use text inputs instead of dropdowns", False),
)
"""(element, label, value), in the order of the page."""
ARGUMENTS = ("draw_legend", "include_lone_images", "include_sub_grids", "no_fixed_seeds",
             "vary_seeds_x", "vary_seeds_y", "vary_seeds_z")  # fmt: skip
"""The switches in the order of the arguments; the margin and csv_mode follow."""


@dataclass(frozen=True, slots=True)
class _Row:
    """The fields of one axis."""

    kind: Any
    text: Any
    chosen: Any
    fill: Any

    @property
    def values(self) -> list[Any]:
        """What is an argument."""
        return [self.kind, self.text, self.chosen]


def build_page(tab: str, element: ElementId, files: Files) -> list[Any]:
    """Make the fields in gradio's current layout block; returns them in the arguments' order."""
    import gradio as gr  # the host imports scripts before there is a page

    rows = [_row(tab, letter, element, files) for letter in LETTERS]
    with gr.Row():
        swaps = [
            gr.Button(text, size="sm", elem_id=f"{name}_grid_swap_axes_button")
            for (_, _, text), name in zip(SWAPS, ("xy", "yz", "xz"), strict=True)
        ]
    with gr.Row():
        switches = {
            name: gr.Checkbox(value, label=label, elem_id=element(name), min_width=160)
            for name, label, value in SWITCHES
        }
    margin = gr.Slider(
        0, 500, value=0, step=2, label="Grid margins (px)", elem_id=element("margin_size")
    )
    is_text = switches["csv_mode"]
    page = _Page(tab, files)
    for row in rows:
        page.wire(row, is_text)
    is_text.change(
        page.switch,
        inputs=[is_text, *(field for row in rows for field in row.values)],
        outputs=[field for row in rows for field in (row.text, row.chosen, row.fill)],
        **QUIET,
    )
    for (one, other, _), button in zip(SWAPS, swaps, strict=True):
        page.wire_swap(button, rows[one], rows[other])
    values = [field for row in rows for field in row.values]
    return [*values, *(switches[name] for name in ARGUMENTS), margin, is_text]


def _row(tab: str, letter: str, element: ElementId, files: Files) -> _Row:
    import gradio as gr

    axes, small = axes_of(tab), letter.lower()
    start = 1 if letter == "X" else 0
    with gr.Row():
        kind = gr.Dropdown(
            [axis.label for axis in axes],
            value=axes[start].label,
            type="index",
            label=f"{letter} type",
            elem_id=element(f"{small}_type"),
        )
        text = gr.Textbox(
            "",
            label=f"{letter} values",
            lines=1,
            placeholder="1, 2, 3 or 1-9 (+2) or 1-9 [5]",
            elem_id=element(f"{small}_values"),
        )
        chosen = gr.Dropdown(
            menu(axes[start].choices, files),
            value=[],
            label=f"{letter} values",
            multiselect=True,
            allow_custom_value=True,
            visible=False,
            elem_id=element(f"{small}_values_dropdown"),
        )
        fill = gr.Button(
            FILL,
            visible=False,
            size="sm",
            min_width=40,
            scale=0,
            elem_id=f"xyz_grid_fill_{small}_tool_button",
        )
    return _Row(kind, text, chosen, fill)


class _Page:
    """What the fields do to each other."""

    def __init__(self, tab: str, files: Files) -> None:
        self._axes = axes_of(tab)
        self._files = files

    def wire(self, row: _Row, is_text: Any) -> None:
        """Show the menu or the text field as the axis wants, and fill it."""
        shown = [row.text, row.chosen, row.fill]
        row.kind.change(self.show, inputs=[row.kind, row.chosen, is_text], outputs=shown, **QUIET)
        row.fill.click(
            self.fill, inputs=[row.kind, is_text], outputs=[row.text, row.chosen], **QUIET
        )

    def wire_swap(self, button: Any, one: _Row, other: _Row) -> None:
        """Let a button exchange two axes."""
        inputs, outputs = [*one.values, *other.values], [*one.values, *other.values]
        button.click(self.swap, inputs=inputs, outputs=outputs, **QUIET)

    def show(self, kind: int | None, chosen: list[str] | None, is_text: bool) -> list[Any]:
        """Another axis was chosen; what was chosen of the old one's names goes."""
        names = self._names(kind)
        kept = [name for name in chosen or () if name in names]
        return self._updates(names, is_text, chosen=kept)

    def fill(self, kind: int | None, is_text: bool) -> tuple[Any, Any]:
        """Take every name that the axis offers: (text, chosen)."""
        import gradio as gr

        names = self._names(kind)
        return (join_values(names), gr.skip()) if is_text else (gr.skip(), names)

    def swap(self, *values: Any) -> list[Any]:
        """(type, text, chosen) of two axes, exchanged; types by name."""
        one, other = list(values[:3]), list(values[3:])
        for row in (one, other):
            row[0] = self._axes[row[0] or 0].label
        return [*other, *one]

    def switch(self, is_text: bool, *values: Any) -> list[Any]:
        """Menus became text fields, or the other way: what was there is carried over."""
        updates: list[Any] = []
        for start in range(0, len(values), 3):
            kind, text, chosen = values[start : start + 3]
            names = self._names(kind)
            if names and is_text and chosen:
                text, chosen = join_values(chosen), []  # else they would be carried over again
            elif names and not is_text:
                chosen = [name for name in _split(text) if name in names] or chosen
            updates += self._updates(names, is_text, text=text, chosen=chosen or [])
        return updates

    def _names(self, kind: int | None) -> list[str]:
        return menu(self._axes[kind or 0].choices, self._files)

    def _updates(self, names: list[str], is_text: bool, **values: Any) -> list[Any]:
        """Of the text field, the menu and the button."""
        import gradio as gr

        is_menu = bool(names) and not is_text
        text = {"value": values["text"]} if "text" in values else {}
        return [
            gr.update(visible=not is_menu, **text),
            gr.update(visible=is_menu, choices=names, value=values["chosen"]),
            gr.update(visible=bool(names)),
        ]


def _split(text: str | None) -> list[str]:
    try:
        return split_values("", text or "")
    except BadInput:
        return []
