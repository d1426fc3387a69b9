from __future__ import annotations

import json
from typing import Any

import gradio as gr
import pytest

from modules.core.app import App
from modules.jobs.queue import State
from modules.params import Txt2ImgParams
from modules.processing.report import Stop
from modules.ui.events import in_event_loop
from modules.ui.form import Form
from modules.ui.generate import Submission


class Page:
    """A form and the calls behind its buttons."""

    def __init__(self, app: App) -> None:
        self.form = Form(Txt2ImgParams, "txt2img", app)
        in_event_loop(self.build)
        self.calls = Submission(app, self.form, self.overrides)

    def build(self) -> None:
        with gr.Blocks(analytics_enabled=False):
            for name in list(self.form.parameters):
                self.form.field(name)
            self.overrides = gr.Dropdown([], multiselect=True)

    def submit(self, chips: tuple[str, ...] = (), **params: Any) -> dict[str, Any]:
        values = {c: c.value for c in self.form.fields.values()} | {self.overrides: list(chips)}
        values |= {self.form.fields[name]: value for name, value in params.items()}
        reply: dict[str, Any] = json.loads(self.calls.submit(values, gr.Request(username="ana")))
        return reply


@pytest.fixture
def page(app: App) -> Page:
    return Page(app)


def test_submit_queues_what_the_form_says(app: App, page: Page) -> None:
    reply = page.submit(prompt="a fox", steps=3, width=64, styles=["Oil"])
    job = app.jobs.get(reply["job"])
    assert job is not None
    params = job.request.params
    assert (params.prompt, params.steps, params.width, params.styles) == ("a fox", 3, 64, ("Oil",))
    assert job.request.style_texts == (("oil painting of {prompt}", "photo"),)
    assert job.request.user == "ana"


def test_replies_differ_even_when_the_errors_do_not(page: Page) -> None:
    assert page.submit(steps=0) != page.submit(steps=0)


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"steps": 0}, "txt2img_steps", "greater than or equal to 1"),
        ({"width": 3}, "txt2img_width", "greater than or equal to 8"),
        ({"sampler_name": "Eular"}, "txt2img_sampling", "did you mean 'Euler'"),
        ({"scheduler": "Kerras"}, "txt2img_scheduler", "did you mean 'Karras'"),
        ({"enable_hr": True, "hr_upscaler": "x"}, "txt2img_hr_upscaler", "Unknown upscaler"),
    ],
)
def test_wrong_value_is_answered_with_its_field(
    page: Page, app: App, wrong: dict[str, Any], field: str, words: str
) -> None:
    reply = page.submit(**wrong)
    assert reply["field"] == field
    assert words in reply["error"]
    assert not app.jobs.active()


def test_chips_hold_for_this_job_only(page: Page, app: App) -> None:
    job = app.jobs.get(page.submit(("Clip skip: 2", "Model: tiny"))["job"])
    assert job is not None
    assert job.request.settings["CLIP_stop_at_last_layers"] == 2
    assert job.request.settings["sd_model_checkpoint"] == "tiny"
    assert app.settings.view()["CLIP_stop_at_last_layers"] == 1


def test_unknown_chip_is_an_error_without_field(page: Page) -> None:
    reply = page.submit(("Colour: blue",))
    assert "Colour: blue" in reply["error"]
    assert reply["field"] == ""


def test_interrupt_waits_for_the_picture_then_does_not(page: Page, app: App) -> None:
    job = app.jobs.get(page.submit(prompt="wait", n_iter=3)["job"])
    assert job is not None
    while job.state is State.QUEUED:
        pass
    assert page.calls.interrupt(job.id) == "stopping after this picture"
    assert job.report.stop is Stop.AFTER_CURRENT
    assert page.calls.interrupt(job.id) == "stopping"
    assert job.report.stop is Stop.NOW


def test_interrupt_of_one_picture_does_not_wait(page: Page, app: App) -> None:
    job = app.jobs.get(page.submit(prompt="wait")["job"])
    assert job is not None
    while job.state is State.QUEUED:
        pass
    assert page.calls.interrupt(job.id) == "stopping"


def test_interrupt_takes_a_waiting_job_out_of_the_queue(page: Page, app: App) -> None:
    page.submit(prompt="wait")
    waiting = app.jobs.get(page.submit(prompt="second")["job"])
    assert waiting is not None
    assert page.calls.interrupt(waiting.id) == "cancelled"
    assert waiting.state is State.CANCELLED


def test_skip_reaches_only_a_running_job(page: Page, app: App) -> None:
    job = app.jobs.get(page.submit(prompt="wait")["job"])
    assert job is not None
    while job.state is State.QUEUED:
        pass
    waiting = page.submit(prompt="second")["job"]
    assert page.calls.skip(waiting) == ""
    assert page.calls.skip(job.id) == "skipping"


def test_buttons_of_an_unknown_job_do_nothing(page: Page) -> None:
    assert (page.calls.interrupt(""), page.calls.skip("gone")) == ("", "")
