"""Rows of form fields from a table: parameter names and the small buttons between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from modules.core.errors import NotFound
from modules.ui.events import BROWSER
from modules.ui.form import Form


@dataclass(frozen=True, slots=True)
class Tool:
    """A small button that changes fields in the browser, without asking the server."""

    element: str
    """Element id without the tab's prefix."""
    text: str
    """Its name; the page shows the icon instead."""
    icon: str
    """Class `icon-…` of the stylesheet."""
    tooltip: str
    fields: tuple[str, ...]
    """Names of the parameters that the script takes and gives back."""
    js: str
    """Function of the fields' values; `{tab}` is replaced by the tab."""


Row = tuple[str | Tool, ...]


class Layout:
    """Places a form's fields and tools row by row, then wires the tools."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self.tools: dict[str, Tool] = {}
        self._buttons: dict[str, gr.Button] = {}

    def rows(self, rows: Sequence[Row]) -> None:
        """Make the rows in gradio's current layout block."""
        for row in rows:
            with gr.Row(elem_classes=["easel-row"]):
                for entry in row:
                    if isinstance(entry, Tool):
                        self._tool(entry)
                    else:
                        self._form.field(entry)

    def wire(self) -> None:
        """Connect the tools, once all fields are placed. Raises NotFound for a missing field."""
        for element, tool in self.tools.items():
            missing = [name for name in tool.fields if name not in self._form.fields]
            if missing:
                raise NotFound("form field", missing[0], self._form.fields)
            fields = [self._form.fields[name] for name in tool.fields]
            self._buttons[element].click(
                inputs=fields,
                outputs=fields,
                js=tool.js.replace("{tab}", self._form.tab),
                **BROWSER,
            )

    def tooltips(self) -> dict[str, str]:
        """Tooltips of the tools by element id."""
        return {element: tool.tooltip for element, tool in self.tools.items()}

    def _tool(self, tool: Tool) -> None:
        element = f"{self._form.tab}_{tool.element}"
        self.tools[element] = tool
        self._buttons[element] = gr.Button(
            tool.text, elem_id=element, elem_classes=["tool", f"icon-{tool.icon}"]
        )
