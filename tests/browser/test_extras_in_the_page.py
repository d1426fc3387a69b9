"""Finished pictures made larger in the page: sent from a gallery, dropped, and several at once."""

from __future__ import annotations

import io
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.images import encode_image, read

WORDS = "Postprocess upscale by: 2, Postprocess upscaler: Lanczos"


def picture(path: Path, size: tuple[int, int] = (48, 32), infotext: str = "") -> Path:
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    path.write_bytes(encode_image(image, "png", infotext))
    return path


def open_extras(visitor: Any) -> None:
    visitor.page.click("#tab_extras-button")
    visitor.page.locator("#extras_upscaler_1").wait_for()


def upscaled(visitor: Any, words: str = WORDS) -> list[Image.Image]:
    """Press Generate; the pictures that the gallery shows then."""
    visitor.page.click("#extras_generate")
    visitor.wait_for_text("extras_infotext", words)
    visitor.page.locator("#extras_gallery .preview img").first.wait_for()
    visitor.page.locator("#extras_live").wait_for(state="hidden")
    shown = visitor.page.locator(
        "#extras_gallery .preview img, #extras_gallery .thumbnail-item img"
    )
    found = {shown.nth(place).get_attribute("src"): None for place in range(shown.count())}
    return [fetched(address) for address in found]


def fetched(url: str) -> Image.Image:
    with urllib.request.urlopen(url, timeout=30) as reply:
        return Image.open(io.BytesIO(reply.read()))


def test_picture_of_txt2img_is_sent_and_made_larger(visitor: Any) -> None:
    visitor.ask("a blue boat")
    visitor.generate()
    visitor.wait_for_picture("a blue boat")
    visitor.page.click("#txt2img_send_to_extras")
    visitor.page.locator("#extras_image img").wait_for()
    visitor.write("extras_upscaling_resize", "2")
    made = upscaled(visitor)[0]
    assert made.size == (128, 128)
    text = read(made)
    assert text.infotext.startswith("a blue boat\n")
    assert text.items["postprocessing"] == WORDS
    visitor.page.click("#extras_send_to_img2img")
    visitor.page.locator("#img2img_image img").wait_for()
    assert visitor.value("img2img_prompt") == "a blue boat"


def test_batch_makes_each_file_larger(visitor: Any, tmp_path: Path) -> None:
    open_extras(visitor)
    visitor.page.click("#extras_batch_process_tab-button")
    files = [picture(tmp_path / "one.png"), picture(tmp_path / "two.png", (20, 30))]
    visitor.page.set_input_files("#extras_image_batch input[type=file]", files)
    visitor.wait_for_text("extras_image_batch", "two")
    visitor.page.click("#extras_resize_mode label:last-child")
    visitor.page.locator("#extras_upscaling_resize").wait_for(state="hidden")
    visitor.write("extras_upscaling_resize_w", "64")
    visitor.write("extras_upscaling_resize_h", "96")
    made = upscaled(visitor, "Postprocess crop to: 64x96")
    assert {image.size for image in made} == {(64, 96)}
    visitor.wait_for_text("html_log_extras", "2 pictures")
    visitor.wait_for_text("extras_file", "one.png")


def test_fields_and_picture_come_back_after_a_reload(visitor: Any, tmp_path: Path) -> None:
    open_extras(visitor)
    source = picture(tmp_path / "one.png")
    visitor.page.set_input_files("#extras_image input[type=file]", source)
    visitor.page.locator("#extras_image img").wait_for()
    visitor.write("extras_upscaling_resize", "3")
    visitor.page.wait_for_function("easel.local.get('canvas.extras', {}).extras_image?.path")
    visitor.reload()
    open_extras(visitor)
    visitor.page.locator("#extras_image img").wait_for()
    assert visitor.value("extras_upscaling_resize") == "3"


def test_without_a_picture_the_field_is_marked(visitor: Any) -> None:
    open_extras(visitor)
    visitor.page.click("#extras_generate")
    visitor.wait_for_text("extras_error", "drop one on the field")


@pytest.mark.parametrize("width", [390, 1440])
def test_tab_fits_the_screen(width: int, open_page: Any) -> None:
    visitor = open_page(size=(width, 800))
    open_extras(visitor)
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width
    visitor.page.click("#extras_second .label-wrap")
    visitor.page.locator("#extras_upscaler_2").wait_for()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_every_mode_can_be_pressed_while_the_batch_is_open(
    visitor: Any, size: tuple[int, int]
) -> None:
    page = visitor.page
    page.set_viewport_size({"width": size[0], "height": size[1]})
    for tab, batch in (("extras", "#extras_batch_process_tab"), ("img2img", "#img2img_batch_tab")):
        page.click(f"#tab_{tab}-button")
        page.locator(f"#mode_{tab}").wait_for()
        page.click(f"{batch}-button")
        page.locator(f"{batch} .easel-takes-pictures").wait_for()
        buttons = page.locator(f"#mode_{tab} > .tab-wrapper [role=tab]")
        for place in range(buttons.count()):
            if buttons.nth(place).is_visible():
                buttons.nth(place).click(trial=True, timeout=5000)  # fails under a cover
