"""The scripts of a tab: a menu, and the fields of the chosen one."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.core.errors import BadInput
from modules.extensions.host import Control, ScriptHost
from modules.extensions.script import Script
from modules.ui.events import QUIET, in_event_loop

NONE = "None"
SCRIPT_TABS = ("txt2img", "img2img")


class ScriptPanel:
    """The components of one tab."""

    def __init__(
        self,
        host: ScriptHost,
        kind: str,
        menu_names: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        """`kind`: txt2img or img2img; the scripts are this page's own instances.

        `menu_names`: the names in a table of choices as they are now, for the scripts' menus.
        Any other tab has no scripts, and no panel: its element ids would be there twice.
        """
        scripts = host.make(kind) if kind in SCRIPT_TABS else ()
        for script in scripts:
            script.menu_names = menu_names
        self._scripts = {script.title(): script for script in scripts}
        self._fields: dict[str, list[Component]] = {}
        self._groups: dict[str, gr.Column] = {}
        self._menu: gr.Dropdown | None = None

    @property
    def components(self) -> list[Component]:
        """Everything that a job needs the values of."""
        menu = [self._menu] if self._menu else []
        return [*menu, *(field for fields in self._fields.values() for field in fields)]

    def build(self) -> None:
        """Make the menu and the fields in gradio's current layout block, if there are scripts."""
        if not self._scripts:
            return
        menu = self._menu = gr.Dropdown(
            [NONE, *self._scripts],
            value=NONE,
            label="Script",
            elem_id="script_list",
            elem_classes=["easel-field"],
        )
        for title, script in self._scripts.items():
            with gr.Column(visible=False, elem_classes=["easel-script"]) as group:
                self._groups[title] = group
                self._fields[title] = _build(script)
        menu.change(self._show, inputs=[menu], outputs=list(self._groups.values()), **QUIET)

    def read(self, values: Mapping[Component, Any]) -> dict[str, Any]:
        """The chosen script and its arguments as fields of a Request. Raises BadInput."""
        title = values[self._menu] if self._menu else NONE
        if title not in self._scripts:
            return {}
        arguments = tuple(as_argument(field, values[field]) for field in self._fields[title])
        return {"script_name": self._scripts[title].name, "script_args": arguments}

    def _show(self, chosen: str) -> list[Any]:
        return [gr.update(visible=title == chosen) for title in self._groups]


def _build(script: Script) -> list[Component]:
    """The fields of a script; one that cannot be built says so in its place."""
    try:
        return list(script.ui(script.is_img2img) or ())
    except Exception as error:  # whatever an extension's code does
        reason = html.escape(f"{type(error).__name__}: {error}")
        gr.HTML(f'<p class="easel-note">This script cannot be shown: {reason}</p>', padding=False)
        return []


def read_controls(script: Script) -> list[Control]:
    """What a script takes, from components that are made outside any page."""

    def build() -> list[Control]:
        with gr.Blocks(analytics_enabled=False):
            return [_control(one) for one in script.ui(script.is_img2img) or ()]

    return in_event_loop(build)


def _control(component: Component) -> Control:
    choices = getattr(component, "choices", None)
    return Control(
        label=str(getattr(component, "label", "") or ""),
        value=as_argument(component, getattr(component, "value", None)),
        minimum=getattr(component, "minimum", None),
        maximum=getattr(component, "maximum", None),
        step=getattr(component, "step", None),
        choices=tuple(str(label) for label, _ in choices) if choices else None,
    )


def as_argument(component: Component, value: Any) -> Any:
    """A component's value as it came from the page → the script's argument, plain data.

    Raises BadInput for what the component does not take.
    """
    model = getattr(component, "data_model", None)
    if model is not None and isinstance(value, dict | list):
        value = model.model_validate(value)
    try:
        return _plain(component.preprocess(value))
    except gr.Error as error:
        raise BadInput(str(component.label or "script"), value, str(error.message)) from error


def _plain(value: Any) -> Any:
    """Uploaded files become their paths."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Sequence):
        return [_plain(one) for one in value]
    return value
