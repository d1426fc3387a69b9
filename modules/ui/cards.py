"""Cards of extra networks beside a tab's form: the places that the page's script fills.

Knows A1111's element ids; which cards there are, the script asks the server.
"""

from __future__ import annotations

import html
from collections.abc import Callable

import gradio as gr

from modules.cards.kinds import KINDS

_PLACE = """
<div class="easel-cards" id="{tab}_{kind}_cards" data-tab="{tab}" data-kind="{kind}"
  role="region" aria-label="{label}"></div>
"""


class Cards:
    """The sub-tabs of one tab: its form under "Generation", then one per kind of cards."""

    def __init__(self, tab: str) -> None:
        self._tab = tab

    def build(self, build_form: Callable[[], None]) -> None:
        """Make the sub-tabs in gradio's current layout block; `build_form` fills the first."""
        tab = self._tab
        with gr.Tabs(
            elem_id=f"{tab}_extra_tabs", elem_classes=["easel-networks"], overflow_behavior="wrap"
        ):
            with gr.Tab("Generation", id=f"{tab}_generation", elem_id=f"{tab}_generation"):
                build_form()
            for row in KINDS:
                with gr.Tab(row.label, id=f"{tab}_{row.name}", elem_id=f"{tab}_{row.name}"):
                    label = html.escape(row.label)
                    gr.HTML(_PLACE.format(tab=tab, kind=row.name, label=label), padding=False)
