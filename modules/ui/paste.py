"""Read parameters: an infotext in the prompt box, or the last picture's, fills the form."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components import Component

from modules.core.app import App
from modules.core.errors import NotFound
from modules.params.infotext import ReadParameters, read_infotext
from modules.ui.form import Form
from modules.ui.overrides import write_chips

LAST_PARAMETERS = "params.txt"
_MARKS = frozenset(("steps", "seed", "width"))
"""Parameters of which every infotext states at least one."""


class Paste:
    """The call behind the button of one tab."""

    def __init__(self, app: App, form: Form, overrides: gr.Dropdown) -> None:
        self._app = app
        self._form = form
        self._overrides = overrides

    @property
    def outputs(self) -> list[Component]:
        """The components that a paste may change."""
        return [*self._form.fields.values(), self._overrides]

    def read(self, prompt: str | None) -> dict[Component, Any]:
        """Updates of `outputs` from the infotext in `prompt`, or from the last picture's."""
        text = prompt if prompt and prompt.strip() else self._last()
        if not text:
            gr.Info("No parameters yet: paste a picture's parameters into the prompt first.")
            return self._nothing()
        found = read_infotext(text)
        if not _MARKS & found.params.keys():
            gr.Info("The prompt holds no parameters of a picture.")
            return self._nothing()
        self._tell(found)
        chips = write_chips(self._overrides_of(found), self._app.settings.view())
        return {
            **self._form.write(self._with_styles(found.params)),
            self._overrides: gr.update(value=chips, choices=chips, visible=bool(chips)),
        }

    def _nothing(self) -> dict[Component, Any]:
        """An answer that changes nothing; gradio takes no empty one."""
        return {self._overrides: gr.update()}

    def _with_styles(self, params: dict[str, Any]) -> dict[str, Any]:
        """Styles that stand in the prompts go back into the menu."""
        styles, prompt, negative = self._app.styles.extract(
            params.get("prompt", ""), params.get("negative_prompt", "")
        )
        return {**params, "prompt": prompt, "negative_prompt": negative, "styles": tuple(styles)}

    def _overrides_of(self, found: ReadParameters) -> dict[str, Any]:
        """The settings of the text; its checkpoint only where it is here and is another one."""
        overrides = dict(found.overrides)
        name = overrides.pop("sd_model_checkpoint", None)
        if not name:
            return overrides
        current = self._app.settings.view()["sd_model_checkpoint"]
        try:
            title = self._app.models.catalogue.find(name).title
        except NotFound:
            gr.Warning(f"The picture was made with model “{name}”, which is not here.")
            return overrides
        return overrides if title == current else {"sd_model_checkpoint": title, **overrides}

    def _tell(self, found: ReadParameters) -> None:
        if found.rest:
            gr.Info(f"Not taken over, unknown here: {', '.join(found.rest)}.")

    def _last(self) -> str:
        """The newest infotext: of this run's jobs, else of params.txt; "" where there is none."""
        for job in self._app.jobs.finished():
            if job.result and job.result.infotexts:
                return job.result.infotexts[-1]
        file = self._app.paths.data / LAST_PARAMETERS
        return file.read_text(encoding="utf-8") if file.is_file() else ""
