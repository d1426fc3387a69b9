"""Extras of a whole folder: its pictures, one job after another, into another folder."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import gradio as gr
from gradio.components import Component
from PIL import Image

from modules.batch import BatchRun, Item, Notes, list_pictures, plan_items
from modules.batch.run import Format
from modules.core.app import App
from modules.core.errors import BadInput, EaselError
from modules.core.settings import SettingsView
from modules.images import encode_image
from modules.params.extras import ExtrasParams, NamedPicture
from modules.params.request import ExtrasRequest
from modules.postprocess import NONE
from modules.processing.extras import (
    FOLDER_SETTING,
    file_arguments,
    prepare_extras,
    upscaling_of,
)
from modules.ui.events import BROWSER, QUIET
from modules.ui.extras_submission import NOTHING_TO_DO
from modules.ui.form import Form
from modules.ui.img2img_batch import describe
from modules.ui.uploads import to_base64

_REFRESH_S: Final = 1.5
_OUTPUT: Final = "Empty: a folder of the same name in the folder of extras"


class ExtrasFolder:
    """The fields and events of this mode. Knows the batch that was started last."""

    def __init__(self, app: App, form: Form) -> None:
        self._app = app
        self._form = form
        self._run: BatchRun | None = None

    def build(self) -> None:
        """Make the fields in gradio's current layout block."""
        tab = self._form.tab
        self.input_folder = gr.Textbox(
            label="Input directory", placeholder="A folder on the machine that Easel runs on",
            max_lines=1, elem_id=f"{tab}_batch_input_dir",
        )  # fmt: skip
        self.output_folder = gr.Textbox(
            label="Output directory", placeholder=_OUTPUT, max_lines=1,
            elem_id=f"{tab}_batch_output_dir",
        )  # fmt: skip
        self.resume = gr.Checkbox(
            True, label="Skip pictures whose result is there", elem_id=f"{tab}_batch_resume"
        )
        self.status = gr.HTML("", elem_id=f"{tab}_batch_status")
        self._stop = gr.Button("Stop the batch", size="sm", elem_id=f"{tab}_batch_stop")

    def wire(self, reply: gr.Textbox) -> None:
        """Connect the fields with the tab's hidden button of this mode."""
        tab = self._form.tab
        self.timer = gr.Timer(_REFRESH_S, active=False)
        shown = [self.status, self.timer]
        fields = [self.input_folder, self.output_folder, self.resume]
        go = gr.Button("Go", visible="hidden", elem_id=f"{tab}_go_folder")
        go.click(
            self.start,
            inputs={*self._form.fields.values(), *fields},
            outputs=[reply, *shown],
            preprocess=False,
            **QUIET,
        ).then(inputs=[reply], js=f"(reply) => easel.jobs.submitted('{tab}', reply)", **BROWSER)
        self._stop.click(self.stop, outputs=shown, **QUIET)
        self.timer.tick(self.report, outputs=shown, **QUIET)

    def start(
        self, values: Mapping[Component, Any], request: gr.Request
    ) -> tuple[str, str, gr.Timer]:
        """Begin a batch; returns the reply for the page's scripts, the status, the timer."""
        reply: dict[str, Any] = {"call": secrets.token_hex(4)}
        try:
            if self._run and self._run.progress.is_running:
                raise BadInput("batch", "another one", "wait for the batch that runs, or stop it")
            run = self._plan(values, request.username or "")
            run.start()
            self._run = run
        except EaselError as error:
            reply |= {"error": str(error), "field": self._element(error)}
        return json.dumps(reply), *self.report()

    def stop(self) -> tuple[str, gr.Timer]:
        """Stop the batch; what is done stays, and a later start goes on from there."""
        if self._run:
            self._run.stop()
        return self.report()

    def report(self) -> tuple[str, gr.Timer]:
        """The status as HTML, and a timer that goes on as long as the batch does."""
        if self._run is None:
            return "", gr.Timer(_REFRESH_S, active=False)
        progress = self._run.progress
        text = describe(progress, self._run.folder)
        return text, gr.Timer(_REFRESH_S, active=progress.is_running)

    def _plan(self, values: Mapping[Component, Any], user: str) -> BatchRun:
        options = self._form.read(values)
        if options["upscaler_1"] == NONE:
            raise BadInput("upscaler_1", NONE, NOTHING_TO_DO)
        settings = self._app.settings.view()
        source = self._path(values[self.input_folder])
        if source is None:
            raise BadInput("batch_input_dir", "nothing", "name a folder with pictures")
        own = self._app.paths.output(settings[FOLDER_SETTING]) / source.name
        items = plan_items(list_pictures(source, "batch_input_dir"), None)
        blank = NamedPicture(data=to_base64(Image.new("RGB", (1, 1))), name="")
        # What is wrong for all is told at once.
        upscaling = upscaling_of(self._request(blank, options, settings, user).params)
        folder = self._path(values[self.output_folder]) or own

        def encode(image: Image.Image, infotext: str) -> bytes:
            return encode_image(image, **file_arguments(image, infotext, settings))

        return BatchRun(
            items,
            folder,
            lambda item: self._request(_picture(item), options, settings, user),
            self._app.jobs.submit,
            Format(settings["samples_format"]),
            bool(values[self.resume]),
            encode,
            Notes(folder, upscaling.pairs()),
        )

    def _request(
        self,
        picture: NamedPicture,
        options: Mapping[str, Any],
        settings: SettingsView,
        user: str,
    ) -> ExtrasRequest:
        """The job of one picture. Raises EaselError for what cannot be used."""
        values = {name: options[name] for name in ExtrasParams.model_fields if name in options}
        return prepare_extras(
            {**values, "images": [picture]},
            settings=settings,
            upscalers=self._app.models.upscalers,
            user=user,
            save_samples=False,
        )

    def _path(self, value: Any) -> Path | None:
        """A folder that was typed; None without one."""
        text = str(value or "").strip().strip('"')
        return self._app.paths.output(str(Path(text).expanduser())) if text else None

    def _element(self, error: EaselError) -> str:
        tab = self._form.tab
        if not isinstance(error, BadInput):
            return f"{tab}_upscaler_1" if hasattr(error, "what") else ""
        parameter = self._form.parameters.get(error.field)
        if parameter:
            return parameter.element_id(tab) or ""
        return f"{tab}_{error.field}" if error.field.startswith("batch_") else ""


def _picture(item: Item) -> NamedPicture:
    data = base64.b64encode(item.source.read_bytes()).decode("ascii")
    return NamedPicture(data=data, name=item.source.name)
