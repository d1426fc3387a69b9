"""A script's components as arguments: what each takes, and its value as `run` gets it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.core.errors import BadInput
from modules.extensions.arguments import Control, Takes
from modules.extensions.script import Script
from modules.ui.events import in_event_loop


def read_controls(script: Script) -> list[Control]:
    """What a script takes, from components that are made outside any page."""
    asked: list[str] = []

    def no_names(source: str) -> Sequence[str]:
        asked.append(source)
        return ()

    def build() -> list[Control]:
        script.menu_names = no_names
        with gr.Blocks(analytics_enabled=False) as page:
            fields = list(script.ui(script.is_img2img) or ())
        changing = set(fields) if asked else changed_by_events(page)
        return [_control(one, changing) for one in fields]

    return in_event_loop(build)


def changed_by_events(page: gr.Blocks) -> set[Component]:
    """The components whose menus the page's own events may change."""
    return {one for event in page.fns.values() for one in event.outputs if is_field(one)}


def is_field(thing: object) -> bool:
    """Whether it holds a value; layout blocks do not."""
    return isinstance(thing, Component)


def choices_of(component: Component) -> tuple[tuple[str, Any], ...]:
    """(label, value) of a menu, and of boxes and circles to choose from; else nothing."""
    return tuple((str(label), value) for label, value in getattr(component, "choices", None) or ())


def _control(component: Component, changing: Collection[Component]) -> Control:
    choices = choices_of(component)
    is_fixed = component not in changing
    return Control(
        label=str(getattr(component, "label", "") or ""),
        value=as_argument(component, getattr(component, "value", None)),
        minimum=getattr(component, "minimum", None),
        maximum=getattr(component, "maximum", None),
        step=getattr(component, "step", None),
        choices=tuple(label for label, _ in choices) if choices else None,
        takes=_takes(component, is_fixed=is_fixed),
        values=tuple(value for _, value in choices),
    )


def _takes(component: Component, *, is_fixed: bool) -> Takes:
    """is_fixed: whether limits and menu stay as they are."""
    match component:
        case gr.Slider():
            return "number"
        case gr.Number():
            return "bounded" if is_fixed else "number"
        case gr.Checkbox():
            return "switch"
        case gr.Textbox():
            return "text"
        case gr.Radio() | gr.CheckboxGroup() | gr.Dropdown() if is_fixed and component.choices:
            if getattr(component, "allow_custom_value", False):
                return "anything"
            has_many = isinstance(component, gr.CheckboxGroup)
            has_many = has_many or bool(getattr(component, "multiselect", False))
            return "choices" if has_many else "choice"
    return "anything"


def as_argument(component: Component, value: Any) -> Any:
    """A component's value as it came from the page → the script's argument, plain data.

    Raises BadInput for what the component does not take.
    """
    model = getattr(component, "data_model", None)
    try:
        if model is not None and isinstance(value, dict | list):
            value = model.model_validate(value)
        return _plain(component.preprocess(value))
    except gr.Error as error:
        raise BadInput(_name(component), value, str(error.message)) from error
    except (TypeError, ValueError) as error:  # an emptied slider, text where a number is expected
        raise BadInput(_name(component), value, "the field does not take it") from error


def _name(component: Component) -> str:
    return str(getattr(component, "label", "") or "script")


def _plain(value: Any) -> Any:
    """Uploaded files become their paths."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Sequence):
        return [_plain(one) for one in value]
    return value
