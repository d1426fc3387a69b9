"""The picture fields under hand: keys, wheel, the whole window, pictures dragged into them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

EDITOR = "inpaint_canvas"
BRUSH = f"Number(document.querySelector('#{EDITOR} .size_picker input')?.value || 40)"
OWN = f"easel.canvasKeys.editorOf(document.getElementById('{EDITOR}'))"
PLACE = f"{OWN}.image_container.position"
LAYERS = f"{OWN}.layer_manager.get_layers().map((layer) => layer.container.visible)"
KEPT_AFTER_MS = 1500
"""When the page reads what was drawn, so that a reload finds it."""
SAME_CANVAS = f"""() => {{
  const field = document.getElementById('{EDITOR}'), canvas = field.querySelector('canvas');
  return canvas.offsetHeight === field.clientHeight && canvas.offsetWidth === field.clientWidth;
}}"""
"""Whether the canvas fills the field."""


@pytest.fixture
def editor(visitor: Any, tmp_path: Path) -> Any:
    """A page with a picture in the Inpaint tab and the pointer on it."""
    path = tmp_path / "gradient.png"
    across = Image.linear_gradient("L").resize((128, 128))
    Image.merge("RGB", (across, across.rotate(90), across.rotate(180))).save(path)
    page = visitor.page
    page.click("#tab_inpaint-button")
    page.locator(f"#{EDITOR} canvas").first.wait_for()
    before = zoom(visitor)
    page.set_input_files(f"#{EDITOR} input[type=file]", path)
    wait_until(visitor, lambda: zoom(visitor) != before)
    page.locator(f"#{EDITOR}").scroll_into_view_if_needed()
    page.hover(f"#{EDITOR} canvas")
    return visitor


def zoom(visitor: Any) -> str:
    return str(visitor.page.inner_text(f"#{EDITOR} .zoom-number"))


def fitted(height: float) -> str:
    """The zoom that leaves 30 pixels above and below the picture of 128 pixels in a canvas."""
    return f"{(height - 60) / 128:.0%}"


def wait_until(visitor: Any, holds: Callable[[], bool]) -> None:
    """An editor draws by and by; software rendering takes seconds."""
    until = time.monotonic() + 45
    while not holds():
        assert time.monotonic() < until
        visitor.page.wait_for_timeout(100)


def middle(visitor: Any) -> tuple[float, float]:
    box = visitor.page.locator(f"#{EDITOR} canvas").first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def stroke(visitor: Any) -> None:
    x, y = middle(visitor)
    visitor.page.mouse.move(x, y)
    visitor.page.mouse.down()
    visitor.page.mouse.move(x + 40, y, steps=5)
    visitor.page.mouse.up()
    visitor.page.locator(f"#{EDITOR} button[aria-label=Undo]:not([disabled])").wait_for()


def test_brush_follows_keys_and_the_wheel(editor: Any) -> None:
    page = editor.page
    page.keyboard.press("w")
    page.wait_for_function(f"{BRUSH} > 40")
    larger = page.evaluate(BRUSH)
    page.keyboard.press("q")
    page.wait_for_function(f"{BRUSH} < {larger}")
    smaller = page.evaluate(BRUSH)
    page.hover(f"#{EDITOR} canvas")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    page.wait_for_function(f"{BRUSH} > {smaller}")
    assert page.evaluate("visualViewport.scale") == 1


def test_keys_are_letters_elsewhere(editor: Any) -> None:
    page = editor.page
    page.hover("#inpaint_prompt")
    page.locator("#inpaint_prompt textarea").press_sequentially("wsro")
    assert editor.value("inpaint_prompt") == "wsro"
    page.hover(f"#{EDITOR} canvas")
    page.keyboard.type("ws")  # the pointer is on the field, but somebody types
    assert editor.value("inpaint_prompt") == "wsrows"
    page.evaluate("document.activeElement.blur()")
    page.hover("#inpaint_generate")
    page.keyboard.press("s")
    page.keyboard.press("w")
    assert page.evaluate(BRUSH) == 40
    assert page.locator(f"#{EDITOR}.is-full").count() == 0


def test_undo_takes_the_stroke_back(editor: Any) -> None:
    stroke(editor)
    editor.page.keyboard.press("Control+z")
    editor.page.locator(f"#{EDITOR} button[aria-label=Redo]:not([disabled])").wait_for()


def test_picture_is_zoomed_moved_and_fitted_again(editor: Any) -> None:
    page, whole = editor.page, zoom(editor)
    page.keyboard.down("Alt")
    page.mouse.wheel(0, -800)
    page.keyboard.up("Alt")
    wait_until(editor, lambda: zoom(editor) != whole)
    page.wait_for_timeout(500)
    before = page.evaluate(f"[{PLACE}.x, {PLACE}.y]")
    moved = f"Math.hypot({PLACE}.x - {before[0]} - 30, {PLACE}.y - {before[1]} - 12) < 2"
    x, y = middle(editor)
    page.keyboard.down("f")
    page.mouse.move(x + 30, y + 12, steps=6)
    page.keyboard.up("f")
    page.wait_for_function(moved)
    page.mouse.move(x, y, steps=3)  # the key is up: nothing moves any more
    assert page.evaluate(moved)
    page.keyboard.press("r")
    wait_until(editor, lambda: zoom(editor) == whole)


def test_field_fills_the_window_and_goes_back(editor: Any) -> None:
    page = editor.page
    before = page.locator(f"#{EDITOR}").bounding_box()
    page.wait_for_function(SAME_CANVAS)
    page.keyboard.press("s")
    large = page.locator(f"#{EDITOR}.is-full").bounding_box()
    assert (large["width"], large["height"]) == (1440, 900)
    page.wait_for_function(f"document.querySelector('#{EDITOR} canvas').offsetHeight > 700")
    wait_until(editor, lambda: zoom(editor) == fitted(900))
    page.keyboard.press("Escape")
    assert page.locator(f"#{EDITOR}").bounding_box() == before
    page.wait_for_function(SAME_CANVAS)
    wait_until(editor, lambda: zoom(editor) == fitted(before["height"] - 2))
    page.click("[data-tab=inpaint] [data-full]")
    page.locator(f"#{EDITOR}.is-full").wait_for()
    page.click(f"#{EDITOR} .easel-leave-full")
    assert page.locator(".is-full").count() == 0
    page.wait_for_function(SAME_CANVAS)
    after = page.locator(f"#{EDITOR}").bounding_box()  # the click may have scrolled
    assert (after["width"], after["height"]) == (before["width"], before["height"])


def test_page_is_where_it_was_after_the_whole_window(editor: Any) -> None:
    page = editor.page
    end = page.evaluate("document.documentElement.scrollHeight - innerHeight")
    page.evaluate(f"scrollTo(0, {end})")
    page.wait_for_function("scrollY > 0")
    scrolled = page.evaluate("scrollY")
    page.evaluate(f"document.querySelector('#{EDITOR} button').focus({{ preventScroll: true }})")
    page.keyboard.press("s")
    page.locator(f"#{EDITOR}.is-full").wait_for()
    page.wait_for_function(f"scrollY < {scrolled}")  # the page is shorter without the field
    page.keyboard.press("Escape")
    page.wait_for_function(SAME_CANVAS)
    assert page.evaluate("scrollY") == scrolled


def test_hidden_drawing_is_still_there(editor: Any) -> None:
    page = editor.page
    stroke(editor)
    hidden = page.locator(f"#{EDITOR}.is-overlay-hidden")
    page.keyboard.press("o")
    hidden.wait_for()
    assert page.evaluate(LAYERS) == [False]
    page.wait_for_timeout(KEPT_AFTER_MS + 500)  # what keeps the stroke leaves it hidden
    assert hidden.count() == 1 and page.evaluate(LAYERS) == [False]
    page.keyboard.press("o")
    assert page.evaluate(LAYERS) == [True]
    page.wait_for_function("easel.local.get('canvas.inpaint', {})." + EDITOR + "?.layers?.length")
    page.keyboard.press("o")
    layers = page.evaluate(f"easel.canvas.get('{EDITOR}')")["layers"]  # as Generate asks
    assert layers
    assert page.evaluate(LAYERS) == [True] and hidden.count() == 0


def test_picture_is_dragged_from_the_gallery(visitor: Any) -> None:
    visitor.ask("dragged along")
    visitor.generate()
    visitor.wait_for_picture("dragged along")
    page = visitor.page
    source = page.get_attribute("#txt2img_gallery .preview img", "src")
    page.click("#tab_img2img-button")
    page.locator("#img2img_image").wait_for()
    page.evaluate(
        """address => {
          const dataTransfer = new DataTransfer();
          dataTransfer.setData("text/uri-list", address);
          const target = document.querySelector("#img2img_image input[type=file]").parentElement;
          for (const kind of ["dragover", "drop"]) {
            target.dispatchEvent(
              new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
          }
        }""",
        source,
    )
    page.locator("#img2img_image img").wait_for()
    held = page.evaluate("easel.canvas.get('img2img_image')")
    assert held["orig_name"] == source.rpartition("/")[2]
    assert page.evaluate("easel.local.get('canvas.img2img', {}).img2img_image.path")


def test_second_scale_is_only_there_for_models_that_have_it(visitor: Any) -> None:
    page = visitor.page
    page.click("#tab_img2img-button")
    page.locator("#img2img_denoising_strength").wait_for()
    assert not page.is_visible("#img2img_image_cfg_scale")
    page.evaluate("document.body.classList.add('easel-model-edits')")
    assert page.is_visible("#img2img_image_cfg_scale")


def test_header_and_picture_stay_while_the_form_scrolls(visitor: Any) -> None:
    page = visitor.page
    page.click("#tab_inpaint-button")
    page.locator("#inpaint_size").wait_for()
    page.mouse.move(300, 300)
    page.evaluate("scrollTo(0, 400)")
    page.wait_for_function("scrollY > 300")
    for element in ("#quicksettings", "#inpaint_generate", "#inpaint_gallery_container"):
        top = page.locator(element).bounding_box()["y"]
        assert 0 <= top < 300, element
