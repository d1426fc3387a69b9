"""Generate, Interrupt, Skip: the page hands a job to the queue and goes on; it never waits."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.core.app import App
from modules.core.errors import BadInput, EaselError
from modules.jobs.queue import Job, State
from modules.params.request import AnyRequest, Params, Request
from modules.processing.prepare import prepare_request
from modules.processing.report import Stop
from modules.ui.form import Form
from modules.ui.overrides import read_chips
from modules.ui.scripts import ScriptPanel


@dataclass(frozen=True, slots=True)
class Order:
    """What a form asks for."""

    params: Mapping[str, Any] | Params
    envelope: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the Request, such as alwayson_scripts."""


Reader = Callable[[Mapping[Component, Any]], Order]
"""An order from the components' values. Raises EaselError for what cannot be made."""


class Submission:
    """The calls behind the buttons of one tab."""

    def __init__(
        self,
        app: App,
        form: Form,
        overrides: gr.Dropdown | None,
        *,
        read: Reader | None = None,
        elements: Mapping[str, str] | None = None,
        scripts: ScriptPanel | None = None,
    ) -> None:
        """`overrides`: the chips with settings that hold for the next jobs only, if there are any.

        read: for a tab with more than its form. elements: element ids of parameters without
        a field, such as pictures, for errors.
        """
        self._app = app
        self._form = form
        self._overrides = overrides
        self._read = read or (lambda values: Order(form.read(values)))
        self._elements = elements or {}
        self._scripts = scripts

    def submit(self, values: Mapping[Component, Any], request: gr.Request) -> str:
        """Queue a job from the form's values.

        Returns JSON: {"job": id}, or {"error": sentence, "field": element id or ""}; `call`
        makes each reply differ from the one before, so that the page can tell that one came.
        """
        reply: dict[str, Any] = {"call": secrets.token_hex(4)}
        try:
            reply["job"] = self._queue(values, request.username or "").id
        except EaselError as error:
            field = self._element(error) or self._script_element(values, error)
            reply |= {"error": str(error), "field": field}
        return json.dumps(reply)

    def interrupt(self, job_id: str) -> str:
        """Stop a job: one that waits at once, one of several pictures after the picture at hand.

        A second call does not wait for the picture. Returns what happens, for the page.
        """
        job = self._app.jobs.get(job_id)
        if job is None:
            return ""
        if job.state is State.RUNNING:
            stop = self._kind_of_stop(job)
            job.report.ask(stop)
            return "stopping after this picture" if stop is Stop.AFTER_CURRENT else "stopping"
        return "cancelled" if self._app.jobs.cancel(job_id) else ""

    def skip(self, job_id: str) -> str:
        """Give up the picture at hand of a running job and go on with its next."""
        job = self._app.jobs.get(job_id)
        if job is None or job.state is not State.RUNNING:
            return ""
        job.report.ask(Stop.SKIP)
        return "skipping"

    def _queue(self, values: Mapping[Component, Any], user: str) -> Job:
        return self._app.jobs.submit(self.request(values, user))

    def request(self, values: Mapping[Component, Any], user: str) -> AnyRequest:
        """The checked request that the values make. Raises EaselError."""
        order = self._read(values)
        if self._scripts:
            envelope = {**order.envelope, **self._scripts.read(values)}
            order = Order(order.params, envelope)
        return self.prepare(order, values[self._overrides] if self._overrides else None, user)

    def prepare(self, order: Order, chips: Iterable[str] | None, user: str) -> Request:
        """The checked request of an order. Raises EaselError."""
        return prepare_request(
            order.params,
            settings=self._app.settings.view(),
            catalogue=self._app.models.catalogue,
            styles=self._app.styles,
            upscalers=self._app.models.upscalers,
            overrides=read_chips(chips),
            user=user,
            **order.envelope,
        )

    def _kind_of_stop(self, job: Job) -> Stop:
        waits = job.request.settings.get(
            "interrupt_after_current", self._app.settings.view()["interrupt_after_current"]
        )
        several = job.request.rounds > 1
        return Stop.AFTER_CURRENT if waits and several and job.report.stop is Stop.NO else Stop.NOW

    def _script_element(self, values: Mapping[Component, Any], error: EaselError) -> str:
        """The same of a script's field."""
        if self._scripts and isinstance(error, BadInput):
            return self._scripts.element(values, error)
        return ""

    def _element(self, error: EaselError) -> str:
        """The element of the field that an error is about; "" where it is about none."""
        name = error.field if isinstance(error, BadInput) else _FIELDS.get(_what(error), "")
        name = name.partition(".")[0]
        if name in self._elements:
            return self._elements[name]
        parameter = self._form.parameters.get(name)
        return (parameter.element_id(self._form.tab) or "") if parameter else ""


_FIELDS = {"sampler": "sampler_name", "schedule type": "scheduler", "upscaler": "hr_upscaler"}


def _what(error: EaselError) -> str:
    return str(getattr(error, "what", ""))
