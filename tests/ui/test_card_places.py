"""The places that the page's script fills with cards and downloads."""

from __future__ import annotations

import gradio as gr

from modules.cards import KINDS
from modules.core.app import App
from modules.ui.build import build_page
from modules.ui.cards import Cards
from modules.ui.tabs.models import ModelsTab


def html_of(page: gr.Blocks) -> str:
    return " ".join(
        str(block.value) for block in page.blocks.values() if isinstance(block, gr.HTML)
    )


def test_every_kind_has_its_tab_and_place_beside_the_form() -> None:
    built: list[str] = []
    with gr.Blocks(analytics_enabled=False) as page:
        Cards("img2img").build(lambda: built.append("form"))
    tabs = [block for block in page.blocks.values() if isinstance(block, gr.Tab)]
    assert built == ["form"]
    assert [tab.label for tab in tabs] == ["Generation", *(row.label for row in KINDS)]
    for row in KINDS:
        assert f'id="img2img_{row.name}_cards"' in html_of(page)
    assert {tab.elem_id for tab in tabs} >= {"img2img_generation", "img2img_lora"}


def test_page_has_cards_a_models_tab_and_the_way_to_choose_a_checkpoint(app: App) -> None:
    page = build_page(app)
    ids = {getattr(block, "elem_id", None) for block in page.blocks.values()}
    assert {"txt2img_extra_tabs", "tab_models", "easel_choose_checkpoint"} <= ids
    assert 'id="txt2img_lora_cards"' in html_of(page)
    assert 'id="easel_models"' in html_of(page)


def test_models_tab_is_one_place() -> None:
    with gr.Blocks(analytics_enabled=False) as page:
        ModelsTab().build()
    assert 'id="easel_models"' in html_of(page)
