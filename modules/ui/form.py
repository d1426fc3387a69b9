"""Parameters → form fields → parameters: the form is made from the parameter classes.

Knows gradio's components and the marks on parameters; must not know the layout of any tab.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component
from pydantic import BaseModel

from modules.core.errors import NotFound
from modules.params.face import (
    Check,
    Choice,
    ManyChoices,
    Number,
    Parameter,
    Slider,
    Text,
    parameters,
)
from modules.params.styles import StyleDatabase
from modules.ui.choices import menu_names


class Form:
    """The fields of one parameter class in one tab; each is made where the layout wants it."""

    def __init__(self, model: type[BaseModel], tab: str, styles: StyleDatabase) -> None:
        self.tab = tab
        self.fields: dict[str, Component] = {}
        self.parameters = {p.name: p for p in parameters(model) if p.face.widget is not None}
        self._styles = styles

    def field(self, name: str) -> Component:
        """Make the field of a parameter in gradio's current layout block.

        Raises NotFound for a parameter that has no field, or has been placed already.
        """
        unplaced = [name for name in self.parameters if name not in self.fields]
        if name not in unplaced:
            raise NotFound("form field", name, unplaced)
        component = make_component(self.parameters[name], self.tab, self._styles)
        self.fields[name] = component
        return component

    def read(self, values: Mapping[Component, Any]) -> dict[str, Any]:
        """Parameters by name from components' values; an emptied field means its default."""
        return {
            name: self._default(name) if values[component] is None else values[component]
            for name, component in self.fields.items()
        }

    def write(self, params: Mapping[str, Any]) -> dict[Component, Any]:
        """The components that show `params`, with their values; the others stay as they are."""
        return {
            component: gr.update(value=to_value(self.parameters[name], params[name]))
            for name, component in self.fields.items()
            if name in params
        }

    def describe(self) -> list[dict[str, Any]]:
        """What the page's scripts need of each field, in the order of `fields`."""
        return [
            {
                "name": name,
                "id": self.parameters[name].element_id(self.tab),
                "default": self._default(name),
                "tooltip": self.parameters[name].face.tooltip,
            }
            for name in self.fields
        ]

    def _default(self, name: str) -> Any:
        return to_value(self.parameters[name], self.parameters[name].ui_default)


def to_value(parameter: Parameter, value: Any) -> Any:
    """A parameter's value as its component takes it; None becomes what the form shows for it."""
    if value is None:
        value = parameter.ui_default
    return list(value) if isinstance(parameter.face.widget, ManyChoices) else value


def make_component(parameter: Parameter, tab: str, styles: StyleDatabase) -> Component:
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
        case Number(step):
            return gr.Number(precision=0 if float(step).is_integer() else None, step=step, **common)
        case Choice(source, first):
            return gr.Dropdown([*first, *menu_names(source, styles)], **common)
        case ManyChoices(source):
            return gr.Dropdown(menu_names(source, styles), multiselect=True, **common)
        case Text(lines, placeholder):
            return gr.Textbox(lines=lines, placeholder=placeholder, **common)
        case Check():
            return gr.Checkbox(**common)
    raise NotFound("widget", face.widget, ())
