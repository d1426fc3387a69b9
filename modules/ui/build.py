"""The page: header, tabs, footer. A new tab is one row in TABS."""

from __future__ import annotations

import json
from typing import Any, Final

import gradio as gr
from gradio.components import Component

from modules.core.app import VERSION, App
from modules.ui.events import QUIET, in_event_loop
from modules.ui.form import Form
from modules.ui.header import Header
from modules.ui.picture_tab import PictureTab
from modules.ui.send import Tab, wire_sends
from modules.ui.tabs import extras, img2img, inpaint, models, txt2img

TABS: Final = (
    (txt2img.TAB, txt2img.LABEL, txt2img.Txt2ImgTab),
    (img2img.TAB, img2img.LABEL, img2img.Img2ImgTab),
    (inpaint.TAB, inpaint.LABEL, inpaint.InpaintTab),
)
"""Element id, label and class of each tab, in order."""

PLAIN_TABS: Final = ((models.TAB, models.LABEL, models.ModelsTab),)
"""The same of tabs without a form, behind those."""

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
    header, upscaling = Header(app), extras.ExtrasTab(app)
    tabs = [(name, label, make(app)) for name, label, make in TABS]
    with gr.Blocks(
        title="Easel", fill_width=True, analytics_enabled=False, delete_cache=CACHE_SECONDS
    ) as page:
        header.build()
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
            for name, label, tab in tabs:
                with gr.Tab(label, id=name, elem_id=f"tab_{name}"):
                    tab.build(header.state)
            with gr.Tab(extras.LABEL, id=extras.TAB, elem_id=f"tab_{extras.TAB}"):
                upscaling.build(header.state)
            for name, label, make in PLAIN_TABS:
                with gr.Tab(label, id=name, elem_id=f"tab_{name}"):
                    make().build()
        gr.HTML(_FOOTER)
        named: dict[str, Tab] = {name: tab for name, _, tab in tabs}
        named[extras.TAB] = upscaling
        for one in named.values():
            one.recall(page, header.state)
        wire_sends(app, named)
        _load(page, header, [tab for _, _, tab in tabs])
        _follow_files(page, header, [one.form for one in named.values()])
    config = {
        "tabs": {name: one.form.describe() for name, one in named.items()},
        "scripts": {name: tab.scripts.describe() for name, _, tab in tabs},
        "modes": {
            name: one.describe()
            for name, one in named.items()
            if isinstance(one, PictureTab | extras.ExtrasTab)
        },
        "tooltips": {k: v for one in named.values() for k, v in one.layout.tooltips().items()},
    }
    return page, json.dumps(config).replace("<", "\\u003c")


def _load(page: gr.Blocks, header: Header, tabs: list[Any]) -> None:
    """Menus and state as they are now, each time that the page is opened."""
    menus = [menu for tab in tabs for menu in (tab.styles.menu, tab.styles.name)]

    def load() -> list[Any]:
        return [*header.load(), *(menu for tab in tabs for menu in tab.styles.menus())]

    page.load(load, outputs=[header.checkpoint, header.notice, header.state, *menus], **QUIET)


def _follow_files(page: gr.Blocks, header: Header, forms: list[Form]) -> None:
    """The menus of checkpoints and upscalers follow the files, as the header's does."""

    def menus() -> dict[Component, Any]:
        return {menu: update for form in forms for menu, update in form.file_menus().items()}

    outputs = list(menus())
    page.load(menus, outputs=outputs, **QUIET)
    header.refreshed.then(menus, outputs=outputs, **QUIET)
