"""Extras of a whole folder: its pictures, one job after another, into another folder."""

from __future__ import annotations

import base64
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
from modules.ui.batch_controls import BatchControls
from modules.ui.extras_submission import NOTHING_TO_DO
from modules.ui.form import Form
from modules.ui.uploads import to_base64

_OUTPUT: Final = "Empty: a folder of the same name in the folder of extras"


class ExtrasFolder(BatchControls):
    """The fields of this mode."""

    def __init__(self, app: App, form: Form) -> None:
        super().__init__(form)
        self._app = app

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
        self._build_controls()

    def wire(self, reply: gr.Textbox) -> None:
        """Connect the fields with the tab's hidden button of this mode."""
        fields = (self.input_folder, self.output_folder, self.resume)
        self._wire_controls("folder", fields, reply)

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
        is_upscaler = not isinstance(error, BadInput) and hasattr(error, "what")
        return f"{self._form.tab}_upscaler_1" if is_upscaler else super()._element(error)


def _picture(item: Item) -> NamedPicture:
    data = base64.b64encode(item.source.read_bytes()).decode("ascii")
    return NamedPicture(data=data, name=item.source.name)
