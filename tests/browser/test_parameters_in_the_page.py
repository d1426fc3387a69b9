"""Reading parameters: pasted, and from pictures that are dropped; chips and seeds stay whole."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from modules.images import encode_image

DATA = Path(__file__).parents[1] / "data" / "infotext"
SEED = str(2**64 - 1)
INFOTEXT = (
    f"a tin fox\nNegative prompt: fog\nSteps: 7, Sampler: Euler a, Schedule type: Karras, CFG "
    f"scale: 5, Seed: {SEED}, Size: 64x96, Model: nowhere, Clip skip: 2, Denoising strength: 0.4, "
    "Hires upscale: 1.5, Hires upscaler: Lanczos, Colour: blue, Version: v1.10.1"
)
DROP = """(place, [data, name]) => {
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  const transfer = new DataTransfer();
  const type = name.endsWith(".txt") ? "text/plain" : "image/png";
  transfer.items.add(new File([bytes], name, { type }));
  const send = (kind) => place.dispatchEvent(
    new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  send("dragenter");
  const isShown = document.body.classList.contains("easel-is-dropping");
  send("dragover");
  send("drop");
  return isShown;
}"""


def with_infotext() -> bytes:
    return encode_image(Image.new("RGB", (64, 96)), "png", INFOTEXT)


def of_comfyui() -> bytes:
    golden = json.loads((DATA / "comfyui-upscale-model.json").read_text(encoding="utf-8"))
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", json.dumps(golden["texts"]["prompt"]))
    buffer = io.BytesIO()
    Image.new("RGB", (32, 48)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def drop(visitor: Any, place: str, data: bytes, name: str = "fox.png") -> None:
    """Drop a file where `place` is; the page says beforehand what that will do."""
    target = visitor.page.locator(place).first
    assert target.evaluate(DROP, [base64.b64encode(data).decode(), name])


def wait_for_value(visitor: Any, element: str, value: str) -> None:
    visitor.page.wait_for_function(
        "([id, value]) => easel.input(id)?.value === value", arg=[element, value]
    )


def chips(visitor: Any) -> list[str]:
    return visitor.page.locator("#txt2img_override_settings .token").all_inner_texts()


def test_picture_dropped_on_the_prompt_fills_the_form(visitor: Any) -> None:
    assert not visitor.page.locator("#txt2img_override_settings").is_visible()
    drop(visitor, "#txt2img_prompt textarea", with_infotext())
    wait_for_value(visitor, "txt2img_prompt", "a tin fox")
    wait_for_value(visitor, "txt2img_seed", SEED)
    visitor.page.get_by_text("Not taken over, no place for it here: Colour.").wait_for()
    visitor.page.get_by_text("is not here: Model “nowhere”").wait_for()
    assert chips(visitor) == ["Model: nowhere (missing)", "Clip skip: 2"]
    assert visitor.value("txt2img_sampling") == "Euler a"
    assert visitor.page.locator("#txt2img_hr").inner_text().startswith("Hires. fix: 64×96 → 96×144")


def test_chips_and_long_seeds_survive_a_reload_and_chips_can_be_removed(visitor: Any) -> None:
    drop(visitor, "#txt2img_results", with_infotext())
    wait_for_value(visitor, "txt2img_seed", SEED)
    visitor.page.locator("#txt2img_override_settings .token").nth(1).wait_for()
    visitor.reload()
    wait_for_value(visitor, "txt2img_seed", SEED)
    visitor.page.locator("#txt2img_override_settings .token").nth(1).wait_for()
    assert chips(visitor) == ["Model: nowhere (missing)", "Clip skip: 2"]
    visitor.page.locator("#txt2img_override_settings .token-remove").first.click()
    visitor.page.locator("#txt2img_override_settings .token", has_text="nowhere").wait_for(
        state="detached"
    )
    visitor.reload()
    visitor.page.locator("#txt2img_override_settings .token", has_text="Clip skip").wait_for()
    assert chips(visitor) == ["Clip skip: 2"]


def test_chips_hold_for_the_next_picture(visitor: Any) -> None:
    line = f"Steps: 2, Sampler: Euler a, CFG scale: 5, Seed: {SEED}, Size: 64x64, Clip skip: 2"
    visitor.write("txt2img_prompt", f"long seed\n{line}")
    visitor.page.click("#paste")
    wait_for_value(visitor, "txt2img_prompt", "long seed")
    visitor.page.locator("#txt2img_override_settings .token").first.wait_for()
    visitor.generate()
    visitor.wait_for_picture("long seed")
    assert f"Seed: {SEED}" in visitor.page.inner_text("#txt2img_infotext")
    assert "Clip skip: 2" in visitor.page.inner_text("#txt2img_infotext")
    visitor.page.click("#txt2img_random_seed")
    wait_for_value(visitor, "txt2img_seed", "-1")
    visitor.page.click("#txt2img_reuse_seed")
    wait_for_value(visitor, "txt2img_seed", SEED)


def test_picture_of_another_program_says_what_it_loses(visitor: Any) -> None:
    drop(visitor, "#txt2img_prompt textarea", of_comfyui(), "ComfyUI_00001_.png")
    wait_for_value(visitor, "txt2img_seed", "156680208700286")
    visitor.page.get_by_text("ComfyUI_00001_.png made with ComfyUI").wait_for()
    said = "CFG 6 of the second pass, seed 7 of the second pass, Upscaler: 4x-UltraSharp"
    visitor.page.get_by_text(said).wait_for()
    assert "RNG: CPU" in chips(visitor)


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b"plain", "notes.txt", "notes.txt is no picture."),
        (b"no picture", "broken.png", "broken.png cannot be read."),
        (encode_image(Image.new("RGB", (8, 8)), "png"), "bare.png", "bare.png holds no parameters"),
    ],
)
def test_file_without_parameters_changes_nothing(
    visitor: Any, data: bytes, name: str, said: str
) -> None:
    visitor.write("txt2img_prompt", "kept")
    drop(visitor, "#txt2img_prompt textarea", data, name)
    visitor.page.get_by_text(said).wait_for()
    assert visitor.value("txt2img_prompt") == "kept"


def test_every_changed_field_can_be_reset_alone(visitor: Any) -> None:
    visitor.write("txt2img_seed", "5")
    visitor.write("txt2img_prompt", "kept")
    reset = visitor.page.get_by_role("button", name="Reset Seed")
    reset.wait_for()
    reset.click()
    wait_for_value(visitor, "txt2img_seed", "-1")
    assert not reset.is_visible()
    visitor.page.click("#txt2img_sampling input")
    visitor.page.get_by_role("option", name="Euler a", exact=True).click()
    visitor.page.get_by_role("button", name="Reset Sampling method", exact=True).click()
    wait_for_value(visitor, "txt2img_sampling", "DPM++ 2M")
    assert visitor.value("txt2img_prompt") == "kept"
