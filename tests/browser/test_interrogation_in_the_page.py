"""Words for a picture: from the picture field to the prompt, on a desktop and on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PICTURES = Path(__file__).parents[1] / "data/interrogate"


def wait_for_prompt(visitor: Any, tab: str, start: str) -> None:
    visitor.page.wait_for_function(
        "([id, start]) => document.querySelector(`#${id} textarea`).value.startsWith(start)",
        arg=[f"{tab}_prompt", start],
    )


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)], ids=["desktop", "phone"])
def test_button_writes_the_words_of_the_shown_picture(
    open_page: Any, size: tuple[int, int], tmp_path: Path
) -> None:
    visitor = open_page(size=size)
    page = visitor.page
    page.click("#tab_img2img-button")
    button = page.locator("#interrogate")
    button.wait_for()
    assert "CLIP" in button.get_attribute("title")
    page.set_input_files("#img2img_image input[type=file]", PICTURES / "rocket.png")
    page.locator("#img2img_image img").wait_for()
    visitor.write("img2img_prompt", "what I typed")
    page.screenshot(path=str(tmp_path / f"before-{size[0]}.png"))
    button.click()
    wait_for_prompt(visitor, "img2img", "rocket")
    page.locator("#interrogate").filter(has_text="Interrogate").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=str(tmp_path / f"after-{size[0]}.png"))


def test_without_a_picture_the_page_says_so_and_the_prompt_stays(visitor: Any) -> None:
    page = visitor.page
    page.click("#tab_img2img-button")
    visitor.write("img2img_prompt", "what I typed")
    page.click("#interrogate")
    page.get_by_text("a picture is needed").first.wait_for()
    assert visitor.value("img2img_prompt") == "what I typed"
    page.locator("#interrogate:not([disabled])").wait_for()


def test_batch_has_no_such_button(visitor: Any) -> None:
    page = visitor.page
    page.click("#tab_img2img-button")
    page.locator("#interrogate").wait_for()
    page.click("#img2img_batch_tab-button")
    page.locator("#interrogate").wait_for(state="hidden")
