"""The main job: words in, picture out, and everything that may come between."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

from PIL import Image

LONG = {"steps": 150, "batch_count": 100}
"""Never ends by itself within a test."""


def test_generate_shows_picture_with_its_parameters(visitor: Any) -> None:
    visitor.ask("a red heart", steps=5)
    visitor.generate()
    visitor.wait_for_picture("a red heart")
    infotext = visitor.page.inner_text("#txt2img_infotext pre")
    assert re.search(r"^a red heart\nSteps: 5, .*Size: 64x64", infotext)
    assert re.search(
        r"Time [\d.]+ s · peak [\d.]+ [MG]B", visitor.page.inner_text("#html_log_txt2img")
    )
    width = "#txt2img_gallery .preview img"
    assert visitor.page.eval_on_selector(width, "image => image.naturalWidth") == 64


def test_picture_can_be_downloaded_saved_and_archived(visitor: Any) -> None:
    visitor.ask("two hearts", batch_count=2)
    visitor.generate()
    visitor.wait_for_picture("two hearts")
    visitor.page.click("#save_txt2img")
    visitor.page.locator(".toast-wrap").filter(has_text="Saved as").wait_for()
    with visitor.page.expect_download() as started:
        visitor.page.click("#save_zip_txt2img")
    with zipfile.ZipFile(started.value.path()) as archive:
        texts = [
            Image.open(io.BytesIO(archive.read(name))).info["parameters"]
            for name in archive.namelist()
        ]
    assert [text.split("\n")[0] for text in texts] == ["two hearts"] * 3  # with the grid


def test_parameters_follow_the_selected_picture(visitor: Any) -> None:
    visitor.ask("several", batch_count=3)
    visitor.write("txt2img_seed", "5")
    visitor.generate()
    visitor.wait_for_picture("several")
    assert "Seed: 5," in visitor.page.inner_text("#txt2img_infotext pre")
    visitor.page.locator("#txt2img_gallery .thumbnails button").nth(3).click()  # the grid is 0
    visitor.wait_for_text("txt2img_infotext", "Seed: 7,")
    visitor.page.keyboard.press("ArrowLeft")
    visitor.wait_for_text("txt2img_infotext", "Seed: 6,")
    visitor.page.click("#txt2img_reuse_seed")
    visitor.page.wait_for_function("easel.input('txt2img_seed').value === '6'")
    visitor.page.click("#txt2img_random_seed")
    visitor.page.wait_for_function("easel.input('txt2img_seed').value === '-1'")


def test_reload_in_the_middle_finds_the_job_again(visitor: Any) -> None:
    visitor.ask("long way", **LONG)
    visitor.generate()
    visitor.wait_for_step()
    visitor.reload()
    visitor.wait_for_step()
    assert visitor.value("txt2img_prompt") == "long way"
    assert "%" in visitor.page.title()
    assert visitor.page.is_enabled("#txt2img_interrupt")


def test_reload_after_the_job_shows_its_pictures_again(visitor: Any) -> None:
    visitor.ask("still here")
    visitor.generate()
    visitor.wait_for_picture("still here")
    visitor.reload()
    visitor.wait_for_picture("still here")


def test_second_device_shows_the_running_job(visitor: Any, open_page: Any) -> None:
    visitor.ask("seen by both", **LONG)
    visitor.generate()
    visitor.wait_for_step()
    other = open_page()
    other.wait_for_step()
    other.page.click("#easel_queue_button")
    assert "seen by both" in other.page.inner_text("#easel_queue")


def test_two_pages_follow_their_own_jobs(visitor: Any, open_page: Any) -> None:
    other = open_page(beside=visitor)
    for each, prompt in ((visitor, "mine"), (other, "yours")):
        each.ask(prompt, steps=20)
    for each in (visitor, other):
        each.generate()
    visitor.wait_for_picture("mine")
    other.wait_for_picture("yours")


def test_interrupt_stops_after_the_picture_and_then_at_once(visitor: Any, server: Any) -> None:
    visitor.ask("endless", **LONG)
    visitor.generate()
    visitor.wait_for_step()
    visitor.page.click("#txt2img_interrupt")
    visitor.page.click("#txt2img_interrupting")
    visitor.page.locator("#txt2img_live").wait_for(state="hidden")
    visitor.page.locator("#txt2img_interrupting").wait_for(state="hidden")
    assert server.jobs() == []
    assert visitor.page.is_disabled("#txt2img_interrupt")


def test_escape_interrupts_a_single_picture(visitor: Any, server: Any) -> None:
    visitor.ask("one slow picture", steps=150, width=512, height=512)
    visitor.generate()
    visitor.wait_for_step()
    visitor.page.keyboard.press("Escape")
    visitor.page.locator("#txt2img_live").wait_for(state="hidden")
    assert server.jobs() == []


def test_skip_goes_on_with_the_next_picture(visitor: Any) -> None:
    visitor.ask("skipped", steps=150, batch_count=2, width=256, height=256)
    visitor.generate()
    visitor.wait_for_text("txt2img_progress_text", "pass 1 of 2")
    visitor.page.keyboard.press("Alt+Enter")
    visitor.wait_for_text("txt2img_progress_text", "pass 2 of 2")


def test_waiting_job_says_how_many_are_before_it(visitor: Any, open_page: Any) -> None:
    visitor.ask("long way", **LONG)
    visitor.generate()
    visitor.wait_for_step()
    other = open_page()
    other.ask("patient")
    other.generate()
    other.wait_for_text("txt2img_progress_text", "waiting: 1 before it")
    assert "Waiting: 1 before it" in other.page.inner_text("#txt2img_live")
    visitor.page.click("#txt2img_interrupt")
    visitor.page.click("#txt2img_interrupting")
    other.wait_for_picture("patient")


def test_queue_lists_jobs_and_cancels_one(visitor: Any, server: Any) -> None:
    visitor.ask("first in line", **LONG)
    visitor.generate()
    visitor.wait_for_step()
    visitor.write("txt2img_prompt", "second in line")
    visitor.generate()
    visitor.wait_for_text("easel_queue_count", "2")
    visitor.page.click("#easel_queue_button")
    rows = visitor.page.locator("#easel_queue li")
    rows.nth(1).filter(has_text="second in line").get_by_role("button", name="Cancel").click()
    rows.nth(1).wait_for(state="detached")
    assert "first in line" in rows.nth(0).inner_text()
    assert len(server.jobs()) == 1


def test_wrong_value_is_told_beside_the_button_and_marked(visitor: Any, server: Any) -> None:
    visitor.ask("kept")
    visitor.write("txt2img_seed", "-5")
    visitor.generate()
    visitor.wait_for_text("txt2img_error", "seed: -5 cannot be used")
    assert visitor.page.get_attribute("#txt2img_seed input", "aria-invalid") == "true"
    assert visitor.value("txt2img_prompt") == "kept"
    assert server.jobs() == []
    visitor.write("txt2img_seed", "1")
    visitor.generate()
    visitor.wait_for_picture("kept")
    assert visitor.page.inner_text("#txt2img_error").strip() == ""
    assert visitor.page.get_attribute("#txt2img_seed input", "aria-invalid") is None


def test_page_survives_a_lost_connection(visitor: Any) -> None:
    visitor.page.context.set_offline(True)
    visitor.wait_for_text("easel_connection", "connection lost")
    visitor.page.context.set_offline(False)
    visitor.page.locator("#easel_connection").wait_for(state="hidden")
    visitor.ask("back again")
    visitor.generate()
    visitor.wait_for_picture("back again")


def test_generate_without_connection_loses_nothing(visitor: Any) -> None:
    visitor.ask("not yet")
    visitor.page.context.set_offline(True)
    visitor.generate()
    visitor.page.locator(".toast-wrap").filter(has_text="Connection to the server was").wait_for()
    with visitor.page.expect_navigation():  # gradio reloads the page once the server answers
        visitor.page.context.set_offline(False)
    visitor.settle()
    visitor.page.wait_for_function("easel.input('txt2img_prompt')?.value === 'not yet'")
    visitor.generate()
    visitor.wait_for_picture("not yet")
