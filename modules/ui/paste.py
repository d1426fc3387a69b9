"""Read parameters: from the prompt, the last picture or a dropped one, into the form.

What the form has no field for becomes chips; what is unknown here is told.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import gradio as gr
from gradio.components import Component

from modules.core.app import App
from modules.core.errors import EaselError, NotFound
from modules.core.settings import SettingsView
from modules.model_manager import ModelChoice
from modules.params.face import Choice, parameters
from modules.params.generation import GenerationParams
from modules.params.infotext_read import CHECKPOINT, ReadParameters, read_infotext
from modules.params.infotext_text import parse
from modules.processing.infotext_names import known_settings_of
from modules.processing.prepare import find_names
from modules.ui.choices import menu_names
from modules.ui.form import Form
from modules.ui.overrides import MODELS, write_chips
from modules.ui.scripts import ScriptPanel

LAST_PARAMETERS: Final = "params.txt"
_MARKS: Final = frozenset(("steps", "seed", "width"))
"""Parameters of which every infotext states at least one."""
_SAMPLERS: Final = ("sampler_name", "hr_sampler_name")
_KINDS: Final = {key: name for name, key in MODELS.items()}


@dataclass(frozen=True, slots=True)
class Source:
    """An infotext, and where it came from."""

    infotext: str
    program: str = ""
    """The program whose metadata were turned into it; "" for an infotext as it stood."""
    not_mapped: tuple[str, ...] = ()
    name: str = ""
    """The picture's file name."""


class Paste:
    """The calls behind the button of one tab, and behind a picture that is dropped on it."""

    def __init__(
        self, app: App, form: Form, overrides: gr.Dropdown, scripts: ScriptPanel | None = None
    ) -> None:
        self._scripts = scripts
        self._app = app
        self._form = form
        self._overrides = overrides

    @property
    def outputs(self) -> list[Component]:
        """The components that a paste may change."""
        return [*self._form.fields.values(), self._overrides, *self._script("")]

    def read(self, prompt: str | None) -> dict[Component, Any]:
        """Updates of `outputs` from the infotext in `prompt`, or from the last picture's."""
        text = prompt if prompt and prompt.strip() else self._last()
        if not text:
            gr.Info("No parameters yet: paste a picture's parameters into the prompt first.")
            return self._nothing()
        updates = self._fill(Source(text))
        if updates is None:
            gr.Info("The prompt holds no parameters of a picture.")
        return updates or self._nothing()

    def read_picture(self, reply: str) -> dict[Component, Any]:
        """Updates of `outputs` from what the page found in a picture that was dropped on it.

        reply: JSON of a Source, or {"error": sentence}.
        """
        said = json.loads(reply)
        if "error" in said:
            gr.Warning(str(said["error"]))
            return self._nothing()
        source = Source(
            str(said.get("infotext", "")),
            str(said.get("program", "")),
            tuple(map(str, said.get("not_mapped", ()))),
            str(said.get("name", "")),
        )
        updates = self._fill(source) if source.infotext else None
        if updates is None:
            gr.Warning(f"{source.name or 'The picture'} holds no parameters.")
        return updates or self._nothing()

    def take_over(self, infotext: str, leave: Collection[str]) -> dict[Component, Any]:
        """Updates of `outputs` for a picture that another tab sends, without notices.

        leave: parameters that stay as they are.
        """
        settings = self._app.settings.view()
        found = read_infotext(infotext, model=self._model(), has_backcompat=False)
        params, _ = self._known(self._with_styles(found.params, settings))
        kept = {name: value for name, value in params.items() if name not in leave}
        return self._form.write(kept) or self._nothing()

    def _model(self) -> type[GenerationParams]:
        assert issubclass(self._form.model, GenerationParams)
        return self._form.model

    def _fill(self, source: Source) -> dict[Component, Any] | None:
        """None where the text holds no parameters of a picture."""
        settings = self._app.settings.view()
        found = read_infotext(
            source.infotext,
            model=self._model(),
            has_backcompat=settings["auto_backcompat"],
            skip=settings["infotext_skip_pasting"],
        )
        if not _MARKS & found.params.keys():
            return None
        params, unknown = self._known(self._with_styles(found.params, settings))
        overrides, missing = known_settings_of(
            found, self._app.models.catalogue, self._app.models.vaes
        )
        chips = write_chips(overrides, self._current(settings), missing)
        word, used = self._read_script(source, settings)
        rest = [name for name in found.rest if name not in used]
        unknown = [*source.not_mapped, *rest, *unknown]
        _tell(source, found, unknown, [f"{_KINDS[key]} “{missing[key]}”" for key in missing])
        return {
            **self._form.write(params),
            self._overrides: gr.update(value=chips, choices=chips),
            **self._script(word),
        }

    def _script(self, word: str) -> dict[Component, Any]:
        """What the script panel is told; empty in a tab without one."""
        box = self._scripts.pasted if self._scripts else None
        return {box: gr.update(value=word)} if box else {}

    def _read_script(self, source: Source, settings: SettingsView) -> tuple[str, frozenset[str]]:
        """Word of the script that the infotext names, and the names that found their place."""
        if self._scripts is None:
            return "", frozenset()
        pairs = parse(source.infotext, fill_defaults=False, has_backcompat=False)
        skip = settings["infotext_skip_pasting"]
        return self._scripts.paste({key: pairs[key] for key in pairs if key not in skip})

    def _nothing(self) -> dict[Component, Any]:
        """An answer that changes nothing; gradio takes no empty one."""
        return {self._overrides: gr.update(), **self._script("")}

    def _with_styles(self, params: dict[str, Any], settings: SettingsView) -> dict[str, Any]:
        """Styles that stand in the prompts go back into the menu, as infotext_styles says."""
        mode = settings["infotext_styles"]
        if mode == "Ignore":
            return params
        styles, prompt, negative = self._app.styles.extract(
            params.get("prompt", ""), params.get("negative_prompt", "")
        )
        params = {**params, "prompt": prompt, "negative_prompt": negative}
        if mode == "Apply" or (mode == "Apply if any" and styles):
            params["styles"] = tuple(styles)
        return params

    def _known(self, params: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The parameters under the names of the form's menus; the others in words."""
        labels = {one.name: one.face.label for one in parameters(self._form.model)}
        known, unknown = {}, []
        for name, value in params.items():
            parameter = self._form.parameters.get(name)
            if name not in self._form.fields or parameter is None:
                if value not in (None, False, "", "Use same checkpoint"):
                    unknown.append(f"{labels.get(name, name)}: {value}")
                continue
            widget = parameter.face.widget
            if isinstance(widget, Choice):
                value = self._menu_name(name, str(value), widget)
            if value is None:
                unknown.append(f"{parameter.face.label}: {params[name]}")
            else:
                known[name] = value
        return known, unknown

    def _menu_name(self, name: str, value: str, widget: Choice) -> str | None:
        """A name as the menu has it, also from an alias; None where it has none."""
        if value in widget.first:
            return value
        with suppress(NotFound):
            if name in _SAMPLERS:
                value = find_names(value, None)[0]
            elif widget.source == "schedulers":
                value = find_names("Euler", value)[1]
        by_lower = {one.lower(): one for one in menu_names(widget.source, self._app)}
        return by_lower.get(value.lower())

    def _current(self, settings: SettingsView) -> dict[str, Any]:
        """The settings as they are, with the title of the checkpoint that a job would use."""
        current = dict(settings)
        with suppress(EaselError):
            choice = ModelChoice(settings[CHECKPOINT] or None)
            current[CHECKPOINT] = self._app.models.resolve(choice).checkpoint.title
        return current

    def _last(self) -> str:
        """The newest infotext: of this run's jobs, else of params.txt; "" where there is none."""
        for job in self._app.jobs.finished():
            if job.infotexts:
                return job.infotexts[-1]
        file = self._app.paths.data / LAST_PARAMETERS
        return file.read_text(encoding="utf-8") if file.is_file() else ""


def _tell(source: Source, found: ReadParameters, unknown: list[str], missing: list[str]) -> None:
    """What the user should know: where it came from, what is missing, what has no place here."""
    if source.program or source.name:
        made = f" made with {source.program}" if source.program else ""
        gr.Info(f"Parameters read from {source.name or 'the picture'}{made}.", duration=4)
    for sentence in found.told:
        gr.Info(sentence)
    if missing:
        gr.Warning(f"The picture was made with what is not here: {', '.join(missing)}.")
    if unknown:
        words = ", ".join(dict.fromkeys(unknown))
        gr.Info(f"Not taken over, no place for it here: {words}.", duration=20)
