"""The Models tab: getting models by name, from the hub or from an address.

What it shows, the page's script asks the server; nothing here knows a model.
"""

from __future__ import annotations

from typing import Final

import gradio as gr

TAB: Final = "models"
LABEL: Final = "Models"

_PLACE = '<div class="easel-models" id="easel_models"></div>'


class ModelsTab:
    """A place for the script; one per page."""

    def build(self) -> None:
        """Make the tab in gradio's current layout block."""
        gr.HTML(_PLACE, padding=False)
