"""Takes the README's pictures of the page: `python tests/browser/take_screenshots.py URL "prompt"`.

Needs a running Easel with a real model at URL; writes docs/images/*.png.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

FOLDER = Path(__file__).parents[2] / "docs" / "images"


@dataclass(frozen=True)
class Shot:
    """One picture of the page."""

    name: str
    width: int
    height: int
    theme: str


SHOTS = (
    Shot("txt2img-1440-dark", 1440, 900, "dark"),
    Shot("txt2img-1440-light", 1440, 900, "light"),
    Shot("txt2img-390", 390, 844, "dark"),
)
PICTURE_SHOTS = (
    Shot("inpaint-1440-dark", 1440, 900, "dark"),
    Shot("inpaint-1440-light", 1440, 900, "light"),
    Shot("inpaint-390", 390, 844, "dark"),
)


def take(browser: Browser, url: str, prompt: str, shot: Shot) -> Path:
    """Generate a picture in a fresh page and keep what is seen."""
    page = browser.new_page(
        viewport={"width": shot.width, "height": shot.height}, color_scheme=shot.theme
    )
    page.goto(url)
    page.locator("#easel_model_state[data-state=ready]").wait_for(timeout=120_000)
    page.fill("#txt2img_prompt textarea", prompt)
    page.fill("#txt2img_batch_count input[type=number]", "4")
    page.fill("#txt2img_seed :is(input, textarea)", "1")
    page.click("#txt2img_generate")
    page.locator("#txt2img_gallery .thumbnails button").nth(4).click(timeout=600_000)
    page.locator("#txt2img_live").wait_for(state="hidden")
    page.wait_for_timeout(800)
    page.mouse.move(0, 0)
    if shot.width < 900:
        page.evaluate("document.querySelector('#txt2img_prompt').scrollIntoView()")
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    path = FOLDER / f"{shot.name}.png"
    page.screenshot(path=path)
    page.close()
    return path


def take_inpaint(browser: Browser, url: str, prompt: str, shot: Shot) -> Path:
    """Send a picture to the inpaint tab, mark a part of it, and keep what is seen."""
    page = browser.new_page(
        viewport={"width": shot.width, "height": shot.height}, color_scheme=shot.theme
    )
    page.goto(url)
    page.locator("#easel_model_state[data-state]").wait_for(timeout=120_000)
    page.fill("#txt2img_prompt textarea", prompt)
    page.fill("#txt2img_seed :is(input, textarea)", "1")
    page.click("#txt2img_generate")
    page.locator("#txt2img_gallery .preview img").first.wait_for(timeout=600_000)
    page.locator("#txt2img_live").wait_for(state="hidden")
    page.click("#txt2img_send_to_inpaint")
    page.locator("#inpaint_canvas canvas").first.wait_for(timeout=60_000)
    page.wait_for_timeout(8000)
    page.locator("#inpaint_canvas").scroll_into_view_if_needed()
    box = page.locator("#inpaint_canvas canvas").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 50, y)
    page.mouse.down()
    page.mouse.move(x + 50, y + 20, steps=8)
    page.mouse.up()
    page.wait_for_timeout(2000)
    page.click("#inpaint_generate")
    page.locator("#inpaint_gallery .preview img").first.wait_for(timeout=600_000)
    page.locator("#inpaint_live").wait_for(state="hidden")
    page.wait_for_timeout(800)
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    path = FOLDER / f"{shot.name}.png"
    page.screenshot(path=path)
    page.close()
    return path


def main(url: str, prompt: str) -> None:
    """Take all pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for shot in SHOTS:
            print(take(browser, url, prompt, shot))
        for shot in PICTURE_SHOTS:
            print(take_inpaint(browser, url, prompt, shot))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:3])
