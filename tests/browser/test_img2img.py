"""Pictures in, pictures out: masks drawn with the mouse, pictures sent, kept, in batches."""

from __future__ import annotations

import base64
import io
import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageDraw

from modules.images import encode_image

SIDE = 128
SLACK = 10
"""Pixels beside a stroke that may belong to it: the mask's soft edge and the screen's scaling."""


def make_picture(path: Path) -> Path:
    """Colours that differ everywhere, so that a change shows."""
    across = Image.linear_gradient("L").resize((SIDE, SIDE))
    bands = (across, across.rotate(90), across.rotate(180))
    Image.merge("RGB", bands).save(path)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return make_picture(tmp_path / "gradient.png")


def open_tab(visitor: Any, tab: str) -> None:
    visitor.page.click(f"#tab_{tab}-button")
    visitor.page.locator(f"#{tab}_prompt").wait_for()


def open_mode(visitor: Any, tab: str, mode: str) -> None:
    visitor.page.click(f"#{tab}_{mode}_tab-button")
    visitor.page.locator(f"#{tab}_layout[data-mode={mode}]").wait_for()


def ask(visitor: Any, tab: str, prompt: str, **fields: float) -> None:
    for name, number in {"width": SIDE, "height": SIDE, "steps": 4, **fields}.items():
        visitor.write(f"{tab}_{name}", str(number))
    visitor.write(f"{tab}_prompt", prompt)


def zoom(visitor: Any, editor: str) -> str:
    return str(visitor.page.inner_text(f"#{editor} .zoom-number"))


def load_editor(visitor: Any, editor: str, path: Path) -> None:
    """Load a file into an editor and wait until its picture is drawn."""
    visitor.page.locator(f"#{editor} canvas").first.wait_for()
    before = zoom(visitor, editor)
    visitor.page.set_input_files(f"#{editor} input[type=file]", path)
    visitor.page.wait_for_function(
        "([id, before]) => document.querySelector(`#${id} .zoom-number`)?.innerText !== before",
        arg=[editor, before],
    )
    visitor.page.locator(f"#{editor} button[aria-label=Brush]").wait_for()


def paint(visitor: Any, editor: str, dx: int = 40) -> None:
    """A stroke from the middle of the picture to the right."""
    visitor.page.locator(f"#{editor}").scroll_into_view_if_needed()
    box = visitor.page.locator(f"#{editor} canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visitor.page.mouse.move(x, y)
    visitor.page.mouse.down()
    visitor.page.mouse.move(x + dx, y, steps=5)
    visitor.page.mouse.up()
    wait_until(visitor, lambda: marked_box(visitor, editor) is not None)


def value(visitor: Any, element: str) -> Any:
    return visitor.page.evaluate("id => easel.canvas.get(id)", element)


def wait_until(visitor: Any, holds: Callable[[], bool]) -> None:
    """An editor loads and draws by and by; software rendering takes seconds."""
    until = time.monotonic() + 45
    while not holds():
        assert time.monotonic() < until
        visitor.page.wait_for_timeout(200)


def marked_box(visitor: Any, editor: str) -> tuple[int, int, int, int] | None:
    return layer_box(value(visitor, editor))


def kept_box(visitor: Any) -> tuple[int, int, int, int] | None:
    """Of the mask that the browser remembers."""
    return layer_box(visitor.page.evaluate("easel.local.get('canvas.inpaint', {}).inpaint_canvas"))


def layer_box(held: Any) -> tuple[int, int, int, int] | None:
    layers = (held or {}).get("layers") or []
    return fetched(layers[0]["url"]).getchannel("A").getbbox() if layers else None


def fetched(url: str) -> Image.Image:
    with urllib.request.urlopen(url, timeout=30) as reply:
        return Image.open(io.BytesIO(reply.read()))


def generated(visitor: Any, tab: str, prompt: str) -> Image.Image:
    """Press Generate and wait for the picture."""
    visitor.page.click(f"#{tab}_generate")
    visitor.wait_for_text(f"{tab}_infotext", prompt)
    shown = visitor.page.locator(f"#{tab}_gallery .preview img").first
    shown.wait_for()
    visitor.page.locator(f"#{tab}_live").wait_for(state="hidden")
    return fetched(shown.get_attribute("src"))


def changed_box(before: Path, after: Image.Image) -> tuple[int, int, int, int]:
    with Image.open(before) as old:
        box = ImageChops.difference(old.convert("RGB"), after.convert("RGB")).getbbox()
    assert box is not None, "nothing changed"
    return box


def test_inpainting_changes_only_what_the_mouse_marked(visitor: Any, picture: Path) -> None:
    open_tab(visitor, "inpaint")
    load_editor(visitor, "inpaint_canvas", picture)
    visitor.page.hover("#inpaint_canvas canvas")
    visitor.page.keyboard.press("q")
    paint(visitor, "inpaint_canvas")
    ask(visitor, "inpaint", "marked only", mask_blur=0, denoising_strength=1)
    after = generated(visitor, "inpaint", "marked only")
    layer = fetched(value(visitor, "inpaint_canvas")["layers"][0]["url"])
    assert after.size == layer.size == (SIDE, SIDE)
    left, top, right, bottom = layer.getchannel("A").getbbox()
    assert right - left < SIDE * 0.9
    marked = (left - SLACK, top - SLACK, right + SLACK, bottom + SLACK)
    found = changed_box(picture, after)
    assert found[0] >= marked[0] and found[1] >= marked[1]
    assert found[2] <= marked[2] and found[3] <= marked[3]
    assert (found[2] - found[0]) * (found[3] - found[1]) > 0.5 * (right - left) * (bottom - top)


def test_mask_survives_other_tabs_and_a_reload(visitor: Any, picture: Path) -> None:
    open_tab(visitor, "inpaint")
    load_editor(visitor, "inpaint_canvas", picture)
    paint(visitor, "inpaint_canvas")
    before = fetched(value(visitor, "inpaint_canvas")["layers"][0]["url"])
    open_mode(visitor, "inpaint", "outpaint")
    open_tab(visitor, "txt2img")
    open_tab(visitor, "inpaint")
    open_mode(visitor, "inpaint", "inpaint")
    after = fetched(value(visitor, "inpaint_canvas")["layers"][0]["url"])
    assert ImageChops.difference(before, after).getbbox() is None
    wanted = before.getchannel("A").getbbox()
    wait_until(visitor, lambda: kept_box(visitor) == wanted)
    visitor.reload()
    visitor.page.locator("#inpaint_canvas[data-restored]").wait_for()
    wait_until(visitor, lambda: marked_box(visitor, "inpaint_canvas") == wanted)


def test_nothing_marked_is_told_beside_the_picture(visitor: Any, picture: Path) -> None:
    open_tab(visitor, "inpaint")
    visitor.page.click("#inpaint_generate")
    visitor.wait_for_text("inpaint_error", "a picture is needed")
    load_editor(visitor, "inpaint_canvas", picture)
    visitor.page.click("#inpaint_generate")
    visitor.wait_for_text("inpaint_error", "paint over the part of the picture")


def test_picture_is_sent_with_its_parameters(visitor: Any) -> None:
    visitor.ask("sent on", steps=5)
    visitor.write("txt2img_seed", "77")
    visitor.generate()
    visitor.wait_for_picture("sent on")
    visitor.page.click("#txt2img_send_to_img2img")
    visitor.page.locator("#img2img_image img").wait_for()
    assert visitor.value("img2img_prompt") == "sent on"
    assert visitor.value("img2img_seed") == "77"
    assert visitor.page.input_value("#img2img_width input[type=number]") == "64"
    assert visitor.page.input_value("#img2img_denoising_strength input[type=number]") == "0.75"
    generated(visitor, "img2img", "sent on")
    assert "Denoising strength: 0.75" in visitor.page.inner_text("#img2img_infotext pre")
    visitor.page.click("#img2img_send_to_inpaint")
    visitor.page.locator("#inpaint_canvas canvas").first.wait_for()
    visitor.page.wait_for_function("easel.input('inpaint_prompt').value === 'sent on'")
    visitor.page.wait_for_function(
        "async () => Boolean((await easel.canvas.get('inpaint_canvas'))?.background)"
    )


def test_size_is_detected_and_scaled(visitor: Any, picture: Path) -> None:
    open_tab(visitor, "img2img")
    visitor.page.set_input_files("#img2img_image input[type=file]", picture)
    visitor.page.locator("#img2img_image img").wait_for()
    visitor.page.click("#img2img_detect_image_size_btn")
    visitor.page.wait_for_function(f"easel.input('img2img_width').value === '{SIDE}'")
    visitor.page.get_by_label("Resize by").check()
    visitor.page.locator("#img2img_width").wait_for(state="hidden")
    visitor.wait_for_text("img2img_size_words", f"from {SIDE}×{SIDE} to {SIDE}×{SIDE}")
    visitor.write("img2img_scale", "0.55")
    visitor.wait_for_text("img2img_size_words", f"from {SIDE}×{SIDE} to 64×64")  # whole latents
    visitor.write("img2img_scale", "0.5")
    ask_prompt = "half as large"
    visitor.write("img2img_steps", "2")
    visitor.write("img2img_prompt", ask_prompt)
    assert generated(visitor, "img2img", ask_prompt).size == (SIDE // 2, SIDE // 2)


def test_outpainting_grows_the_canvas(visitor: Any, picture: Path) -> None:
    open_tab(visitor, "inpaint")
    open_mode(visitor, "inpaint", "outpaint")
    assert visitor.page.input_value("#inpaint_denoising_strength input[type=number]") == "0.8"
    visitor.page.set_input_files("#inpaint_outpaint input[type=file]", picture)
    visitor.page.locator("#inpaint_outpaint img").wait_for()
    ask(visitor, "inpaint", "wider", outpaint_left=64, outpaint_right=0)
    after = generated(visitor, "inpaint", "wider")
    assert after.size == (SIDE + 64, SIDE)
    kept = after.crop((64 + 32, 0, SIDE + 64, SIDE))
    with Image.open(picture) as old:
        wanted = old.convert("RGB").crop((32, 0, SIDE, SIDE))
    assert ImageChops.difference(kept.convert("RGB"), wanted).getbbox() is None


def test_picture_goes_from_mode_to_mode(visitor: Any, picture: Path) -> None:
    open_tab(visitor, "img2img")
    visitor.page.set_input_files("#img2img_image input[type=file]", picture)
    visitor.page.locator("#img2img_image img").wait_for()
    visitor.page.click("[data-tab=img2img] [data-copy-to=inpaint_upload]")
    visitor.page.locator("#img_inpaint_base img").wait_for()
    mask = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(mask).rectangle((0, 0, 40, SIDE), fill=255)
    mask.save(picture.with_name("mask.png"))
    visitor.page.set_input_files(
        "#img_inpaint_mask input[type=file]", picture.with_name("mask.png")
    )
    visitor.page.locator("#img_inpaint_mask img").wait_for()
    ask(visitor, "img2img", "left part", mask_blur=0, denoising_strength=1)
    box = changed_box(picture, generated(visitor, "img2img", "left part"))
    assert box[0] <= 4 and box[2] <= 41 + SLACK


def test_pasted_picture_goes_to_the_shown_field(visitor: Any, picture: Path) -> None:
    open_tab(visitor, "img2img")
    data = base64.b64encode(picture.read_bytes()).decode()
    visitor.page.evaluate(
        """data => {
          const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
          document.body.dispatchEvent(
            new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
        }""",
        data,
    )
    visitor.page.locator("#img2img_image img").wait_for()
    assert value(visitor, "img2img_image")["orig_name"] == "pasted.png"


def test_batch_of_a_folder_reports_bad_pictures_and_goes_on_later(
    visitor: Any, tmp_path: Path
) -> None:
    folder, results = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a", "b"):
        infotext = f"own words of {name}\nSteps: 3, Seed: 5, Size: 64x64"
        data = encode_image(Image.new("RGB", (64, 64), "teal"), "png", infotext)
        (folder / f"{name}.png").write_bytes(data)
    (folder / "broken.png").write_bytes(b"no picture")
    open_tab(visitor, "img2img")
    open_mode(visitor, "img2img", "batch")
    visitor.write("img2img_batch_input_dir", str(folder))
    visitor.write("img2img_batch_output_dir", str(results))
    visitor.page.check("#img2img_batch_use_png_info input")
    ask(visitor, "img2img", "batch of", width=64, height=64, steps=2)
    visitor.page.click("#img2img_generate")
    visitor.wait_for_text("img2img_batch_status", "Done: 3 of 3 · 2 made · 1 could not be used")
    assert "broken.png" in visitor.page.inner_text("#img2img_batch_status")
    assert sorted(path.name for path in results.iterdir()) == ["a.png", "b.png"]
    with Image.open(results / "b.png") as image:
        assert image.info["parameters"].startswith("batch of own words of b\n")
    (results / "a.png").unlink()
    visitor.page.click("#img2img_generate")
    visitor.wait_for_text("img2img_batch_status", "Done: 3 of 3 · 1 made · 1 were there")
    assert (results / "a.png").exists()
    assert json.loads(visitor.page.evaluate("JSON.stringify(easel.config.modes)"))
