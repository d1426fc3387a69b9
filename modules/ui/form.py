"""Parameters → form fields → parameters: the form is made from the parameter classes.

Knows gradio's components and the marks on parameters; must not know the layout of any tab.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component
from pydantic import BaseModel

from modules.core.app import App
from modules.core.errors import NotFound
from modules.params.face import (
    Check,
    Choice,
    ManyChoices,
    Number,
    Parameter,
    Radio,
    Slider,
    Text,
    parameters,
)
from modules.ui.choices import FROM_FILES, menu_names
from modules.ui.ui_config import UiConfig, Wish, menu_of


class Form:
    """The fields of one parameter class in one tab; each is made where the layout wants it."""

    def __init__(self, model: type[BaseModel], tab: str, app: App) -> None:
        self.model = model
        self.tab = tab
        self.fields: dict[str, Component] = {}
        self._app = app
        self._wishes = _wishes(model, tab, app)
        self.parameters = {name: wish.parameter for name, wish in self._wishes.items()}

    def field(self, name: str) -> Component:
        """Make the field of a parameter in gradio's current layout block.

        Raises NotFound for a parameter that has no field, or has been placed already.
        """
        unplaced = [name for name in self.parameters if name not in self.fields]
        if name not in unplaced:
            raise NotFound("form field", name, unplaced)
        component = make_component(self.parameters[name], self.tab, self._app)
        if not self._wishes[name].visible:
            component.visible = "hidden"  # in the page, so that the scripts find it
        self.fields[name] = component
        return component

    def read(self, values: Mapping[Component, Any]) -> dict[str, Any]:
        """Parameters by name from components' values; an emptied field means its default."""
        return {name: self._typed(name, values[c]) for name, c in self.fields.items()}

    def _typed(self, name: str, value: Any) -> Any:
        is_number = isinstance(self.parameters[name].face.widget, Number)
        if value is None or (is_number and str(value).strip() == ""):
            return self._default(name)
        return _number(value) if is_number else value

    def write(self, params: Mapping[str, Any]) -> dict[Component, Any]:
        """The components that show `params`, with their values; the others stay as they are."""
        return {
            component: gr.update(value=to_value(self.parameters[name], params[name]))
            for name, component in self.fields.items()
            if name in params
        }

    def file_menus(self) -> dict[Component, Any]:
        """The menus of model files, with the names that there are now."""
        updates: dict[Component, Any] = {}
        for name, component in self.fields.items():
            match self.parameters[name].face.widget:
                case Choice(source, first) if source in FROM_FILES:
                    names = [*first, *menu_names(source, self._app)]
                    updates[component] = gr.update(choices=names)
        return updates

    def describe(self) -> list[dict[str, Any]]:
        """What the page's scripts need of each field, in the order of `fields`."""
        return [
            {
                "name": name,
                "id": self.parameters[name].element_id(self.tab),
                "default": self._default(name),
                "chosen": self._wishes[name].has_value,
                "label": self.parameters[name].face.label,
                "tooltip": self.parameters[name].face.tooltip,
            }
            for name in self.fields
        ]

    def _default(self, name: str) -> Any:
        return to_value(self.parameters[name], self.parameters[name].ui_default)


def _wishes(model: type[BaseModel], tab: str, app: App) -> dict[str, Wish]:
    """The parameters with fields, as the user's own defaults want them."""
    config = UiConfig.read(app.paths.ui_defaults_file)
    wishes = {}
    for parameter in parameters(model):
        if parameter.face.widget is None:
            continue
        menu = menu_of(parameter)
        names = (*menu[1], *menu_names(menu[0], app)) if menu else None
        wishes[parameter.name] = config.wish(tab, parameter, names)
    return wishes


_WHOLE = re.compile(r"\s*[+-]?\d{1,30}\s*")


def _number(value: Any) -> Any:
    """Digits that were typed as the number that they are; everything else unchanged."""
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value


_DIGITS = gr.InputHTMLAttributes(autocorrect="off", spellcheck=False, autocomplete="off")


def to_value(parameter: Parameter, value: Any) -> Any:
    """A parameter's value as its component takes it; None becomes what the form shows for it.

    A number without a range goes as text: a seed has up to 64 bits, a browser's numbers have 53.
    """
    if value is None:
        value = parameter.ui_default
    match parameter.face.widget:
        case ManyChoices():
            return list(value)
        case Number():
            return str(value)
        case Radio():
            return int(value)
    return value


def make_component(parameter: Parameter, tab: str, app: App) -> Component:
    """The form field of a parameter, with A1111's element id."""
    face = parameter.face
    common = {
        "label": face.label,
        "value": to_value(parameter, None),
        "elem_id": parameter.element_id(tab),
        "elem_classes": ["easel-field"],
        "interactive": True,
    }
    match face.widget:
        case Slider(minimum, maximum, step):
            return gr.Slider(minimum, maximum, step=step, buttons=["reset"], **common)
        case Number():
            return gr.Textbox(max_lines=1, html_attributes=_DIGITS, **common)
        case Choice(source, first):
            return gr.Dropdown([*first, *menu_names(source, app)], **common)
        case ManyChoices(source):
            return gr.Dropdown(menu_names(source, app), multiselect=True, **common)
        case Text(lines, placeholder):
            return gr.Textbox(lines=lines, placeholder=placeholder, **common)
        case Check():
            return gr.Checkbox(**common)
        case Radio(labels):
            return gr.Radio([(label, value) for value, label in enumerate(labels)], **common)
    raise NotFound("widget", face.widget, None)
