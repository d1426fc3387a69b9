"""The Interrogate button of img2img and inpaint: words for the shown picture into the prompt."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.core.app import App
from modules.core.errors import EaselError
from modules.ui.events import BROWSER, QUIET, TELLING
from modules.ui.uploads import read_drawing

log = logging.getLogger(__name__)

LABEL = "Interrogate"
BUSY = "Interrogating…"


class InterrogateButton:
    """The button and its events; one per tab."""

    def __init__(self, app: App, tab: str, *, warn: Callable[[str], object] = gr.Warning) -> None:
        """`warn` shows a notice on the page that made the call."""
        self._app = app
        self._tab = tab
        self._warn = warn
        self.element = "interrogate" if tab == "img2img" else f"{tab}_interrogate"
        self._button: gr.Button

    def build(self) -> None:
        """Make the button in gradio's current layout block."""
        self._button = gr.Button(
            LABEL, elem_id=self.element, elem_classes=["easel-interrogate"], size="sm"
        )

    def wire(self, pictures: Iterable[tuple[str, Component]], prompt: Component) -> None:
        """Connect it; `pictures` are the first picture field of each mode, by the mode's name.

        One hidden button per mode, as for Generate: only the shown mode's picture travels.
        """
        self._button.click(js=f"() => easel.canvas.press('{self._tab}', 'interrogate')", **BROWSER)
        for mode, picture in pictures:
            go = gr.Button("Go", visible="hidden", elem_id=f"{self._tab}_interrogate_{mode}")
            go.click(_busy, outputs=[self._button], **QUIET).then(
                self.caption, inputs=[picture], outputs=[prompt], preprocess=False, **TELLING
            ).then(_idle, outputs=[self._button], **QUIET)

    def caption(self, picture: Any) -> Any:
        """The words for the picture in a field; what goes wrong is a notice, and nothing changes.

        picture: the value of a gr.Image or gr.ImageEditor, as the page sends it.
        """
        try:
            return self._app.interrogator.caption(read_drawing(picture, "image").picture)
        except (EaselError, OSError) as error:
            log.warning("%s", error)
            self._warn(str(error))
            return gr.skip()


def _busy() -> Any:
    return gr.update(value=BUSY, interactive=False)


def _idle() -> Any:
    return gr.update(value=LABEL, interactive=True)
