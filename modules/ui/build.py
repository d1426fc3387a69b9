"""The page: header, tabs, footer. A new tab is one row in TABS."""

from __future__ import annotations

import json
from typing import Any, Final

import gradio as gr

from modules.core.app import VERSION, App
from modules.ui.events import QUIET, in_event_loop
from modules.ui.header import Header
from modules.ui.tabs import txt2img

TABS: Final = ((txt2img.TAB, txt2img.LABEL, txt2img.Txt2ImgTab),)
"""Element id, label and class of each tab, in order."""

CACHE_SECONDS: Final = (3600, 24 * 3600)
"""How often gradio's copies of pictures are looked over, and at which age they go."""

_FOOTER = f"""
<footer class="easel-footer">
  <span>Easel {VERSION}</span> <a href="docs">API</a>
  <span class="easel-keys">Ctrl+Enter generate · Esc interrupt · Alt+Enter skip ·
  Ctrl+↑↓ weight of the selection · Alt+←→ move a part · / prompt</span>
</footer>
"""


def build_page(app: App) -> gr.Blocks:
    """Easel's page, without theme and scripts: `mount_page` adds those."""
    return in_event_loop(lambda: assemble(app))[0]


def assemble(app: App) -> tuple[gr.Blocks, str]:
    """The page, and what its scripts need to know of it as JSON that is safe in a script tag.

    Must be called where an event loop runs.
    """
    header = Header(app)
    tabs = [(name, label, make(app)) for name, label, make in TABS]
    with gr.Blocks(
        title="Easel", fill_width=True, analytics_enabled=False, delete_cache=CACHE_SECONDS
    ) as page:
        header.build()
        with gr.Tabs(elem_id="tabs"):
            for name, label, tab in tabs:
                with gr.Tab(label, id=name, elem_id=f"tab_{name}"):
                    tab.build(header.state)
        gr.HTML(_FOOTER)
        for _, _, tab in tabs:
            tab.recall(page, header.state)
        _load(page, header, [tab for _, _, tab in tabs])
    config = {
        "tabs": {name: tab.form.describe() for name, _, tab in tabs},
        "tooltips": {k: text for _, _, tab in tabs for k, text in tab.layout.tooltips().items()},
    }
    return page, json.dumps(config).replace("<", "\\u003c")


def _load(page: gr.Blocks, header: Header, tabs: list[Any]) -> None:
    """Menus and state as they are now, each time that the page is opened."""
    menus = [menu for tab in tabs for menu in (tab.styles.menu, tab.styles.name)]

    def load() -> list[Any]:
        return [*header.load(), *(menu for tab in tabs for menu in tab.styles.menus())]

    page.load(load, outputs=[header.checkpoint, header.notice, header.state, *menus], **QUIET)
