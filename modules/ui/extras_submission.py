"""Generate of the extras tab: from its fields and pictures to a job in the queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gradio.components import Component

from modules.core.app import App
from modules.core.errors import BadInput
from modules.params.extras import NamedPicture
from modules.params.request import ExtrasRequest
from modules.postprocess import NONE
from modules.processing.extras import prepare_extras
from modules.ui.form import Form
from modules.ui.generate import Submission
from modules.ui.uploads import read_base64

_EMPTY: Final = "a picture is needed: drop one on the field"
NOTHING_TO_DO: Final = "choose an upscaler, since without one the picture would stay as it is"


class ExtrasSubmission(Submission):
    """The calls behind the buttons of the tab, for one of its modes."""

    def __init__(self, app: App, form: Form, source: Component) -> None:
        """source: the picture field, or the field of files, of the mode."""
        place = str(source.elem_id)
        upscaler = form.parameters["upscaler_1"].element_id(form.tab) or ""
        elements = {"image": place, "imageList": place, "hr_upscaler": upscaler}
        super().__init__(app, form, None, elements=elements)
        self._source = source

    def request(self, values: Mapping[Component, Any], user: str) -> ExtrasRequest:
        """The checked request that the values make. Raises EaselError."""
        options = self._form.read(values)
        if options["upscaler_1"] == NONE:
            raise BadInput("upscaler_1", NONE, NOTHING_TO_DO)
        return prepare_extras(
            {**options, "images": _pictures(values[self._source])},
            settings=self._app.settings.view(),
            upscalers=self._app.models.upscalers,
            user=user,
        )


def _pictures(value: Any) -> Sequence[NamedPicture]:
    """The pictures in a field, as base64; all files of a field of files, in their order."""
    files = [value] if isinstance(value, Mapping) else list(value or ())
    if not files:
        raise BadInput("image", "nothing", _EMPTY)
    return [_picture(file) for file in files]


def _picture(file: Mapping[str, Any]) -> NamedPicture:
    name = Path(str(file.get("orig_name") or file.get("path"))).name
    return NamedPicture(data=read_base64(file, "image"), name=name)
