"""Sending a picture with its parameters from one tab's gallery to another tab's field."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

import gradio as gr
from gradio.components import Component

from modules.core.app import App
from modules.core.errors import EaselError
from modules.ui.events import BROWSER, QUIET
from modules.ui.job_tab import JobTab
from modules.ui.tabs.extras import ExtrasTab

SIZE: Final = ("width", "height")
SEEDS: Final = ("seed", "subseed", "subseed_strength", "seed_resize_from_w", "seed_resize_from_h")
OWN: Final = ("denoising_strength", "resize_mode")
"""What a field says about how its own picture is used; a sent picture does not change it."""


Tab = JobTab | ExtrasTab


def wire_sends(app: App, tabs: Mapping[str, Tab]) -> None:
    """Connect the send buttons of all tabs' galleries. `tabs` by name, all of them built."""
    for source in tabs.values():
        for target, button in source.results.sends.items():
            _Send(app, source, tabs[target]).wire(button)


class _Send:
    """One button."""

    def __init__(self, app: App, source: Tab, target: Tab) -> None:
        self._app = app
        self._source = source
        self._target = target

    def wire(self, button: gr.Button) -> None:
        source, target = self._source, self._target
        self._parcel = gr.Textbox(visible="hidden", elem_id=f"{source.tab}_to_{target.tab}_parcel")
        button.click(
            self.send,
            inputs=[source.results.wanted, source.results.index],
            outputs=[self._parcel, *(target.paste.outputs if isinstance(target, JobTab) else ())],
            js=f"() => easel.results.shown('{source.tab}')",
            **QUIET,
        ).then(
            inputs=[self._parcel],
            js=f"(parcel) => easel.canvas.receive('{source.tab}', '{target.tab}', parcel)",
            **BROWSER,
        )

    def send(self, job_id: str, index: float) -> dict[Component, Any]:
        """The parcel for the page's scripts, and the target's fields as the picture has them.

        The parcel is JSON: {"path", "name"} or {"error"}; `call` makes each differ.
        """
        parcel: dict[str, Any] = {"call": secrets.token_hex(4)}
        fields: dict[Component, Any] = {}
        try:
            path, infotext = self._source.results.hand_over(job_id, index)
            parcel |= {"path": path, "name": path.rpartition("/")[2]}
            if isinstance(self._target, JobTab):
                fields = self._target.paste.take_over(infotext, self._leave())
        except EaselError as error:
            parcel["error"] = str(error)
        return {self._parcel: json.dumps(parcel), **fields}

    def _leave(self) -> Sequence[str]:
        settings = self._app.settings.view()
        seeds = () if settings["send_seed"] else SEEDS
        return (*OWN, *seeds, *(() if settings["send_size"] else SIZE))
