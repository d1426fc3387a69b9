"""Takes the pictures of the page for the README and the docs.

    python tests/browser/take_screenshots.py URL "prompt" ["prompt for the marked part"]

Needs a running Easel with a real model at URL; writes docs/images/TAB-WIDTH-THEME.png. Each tab is
used once, as a person would, and then seen in both themes and both widths.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parents[2] / "docs" / "images"
SIZES = ((1440, 900), (390, 844))
THEMES = ("dark", "light")
PATIENCE_MS = 600_000
"""A small machine may take minutes for a picture."""
SEED = "1"


def wait_for_result(page: Page, tab: str) -> None:
    """Until the job of `tab` is over and its picture is drawn."""
    page.locator(f"#{tab}_infotext pre:not(:empty)").wait_for(timeout=PATIENCE_MS)
    page.locator(f"#{tab}_gallery .preview img").first.wait_for(timeout=PATIENCE_MS)
    page.locator(f"#{tab}_live").wait_for(state="hidden", timeout=PATIENCE_MS)


def use_txt2img(page: Page, prompt: str) -> None:
    """Four pictures and their grid; the last of them is shown."""
    page.fill("#txt2img_prompt textarea", prompt)
    page.fill("#txt2img_batch_count input[type=number]", "4")
    page.fill("#txt2img_seed :is(input, textarea)", SEED)
    page.click("#txt2img_generate")
    wait_for_result(page, "txt2img")
    page.locator("#txt2img_gallery .thumbnails button").nth(4).click(timeout=PATIENCE_MS)


def use_img2img(page: Page, prompt: str) -> None:
    """The shown picture once more, changed a little."""
    page.click("#txt2img_send_to_img2img")
    page.locator("#img2img_image img").wait_for(timeout=PATIENCE_MS)
    page.fill("#img2img_prompt textarea", prompt)
    page.fill("#img2img_batch_count input[type=number]", "1")
    page.fill("#img2img_denoising_strength input[type=number]", "0.5")
    page.click("#img2img_generate")
    wait_for_result(page, "img2img")


def use_inpaint(page: Page, prompt: str) -> None:
    """The shown picture, a part of it marked with the mouse and drawn anew."""
    page.click("#img2img_send_to_inpaint")
    canvas = page.locator("#inpaint_canvas canvas").first
    canvas.wait_for(timeout=PATIENCE_MS)
    page.wait_for_function(
        "async () => Boolean((await easel.canvas.get('inpaint_canvas'))?.background)"
    )
    page.wait_for_timeout(3000)  # the editor draws the picture after it has it
    page.locator("#inpaint_canvas").scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.keyboard.press("q")
    page.mouse.move(x - 60, y + 30)
    page.mouse.down()
    page.mouse.move(x + 60, y + 40, steps=8)
    page.mouse.up()
    page.wait_for_timeout(2000)
    page.fill("#inpaint_prompt textarea", prompt)
    page.fill("#inpaint_batch_count input[type=number]", "1")
    page.click("#inpaint_generate")
    wait_for_result(page, "inpaint")


def use_extras(page: Page, prompt: str) -> None:
    """The shown picture, twice as large."""
    page.click("#inpaint_send_to_extras")
    page.locator("#extras_image img").wait_for(timeout=PATIENCE_MS)
    page.fill("#extras_upscaling_resize input[type=number]", "2")
    page.click("#extras_generate")
    wait_for_result(page, "extras")


def keep(page: Page, tab: str) -> Iterator[Path]:
    """The tab as it is, in every size and theme."""
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for theme in THEMES:
            is_dark = page.evaluate("document.body.classList.contains('dark')")
            if is_dark != (theme == "dark"):
                page.evaluate("easel.theme.toggle()")
            page.mouse.move(0, 0)
            page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
            page.wait_for_timeout(1200)
            path = FOLDER / f"{tab}-{width}-{theme}.png"
            page.screenshot(path=path)
            yield path
    page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})


def main(url: str, prompt: str, part: str = "") -> None:
    """Take all pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": SIZES[0][0], "height": SIZES[0][1]})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(url)
        page.locator("#easel_model_state[data-state]").wait_for()
        uses = (
            ("txt2img", use_txt2img),
            ("img2img", use_img2img),
            ("inpaint", use_inpaint),
            ("extras", use_extras),
        )
        for tab, use in uses:
            use(page, part if part and tab == "inpaint" else prompt)
            for path in keep(page, tab):
                print(path)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])
