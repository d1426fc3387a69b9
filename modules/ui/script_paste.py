"""From an infotext to a script's fields, as the script's `infotext_fields` say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.extensions.script import InfotextSource
from modules.ui.script_arguments import choices_of

_WORDS = {"true": True, "false": False}


class NotedPairs(Mapping[str, Any]):
    """An infotext's names and values; notes which of them found a place."""

    def __init__(self, pairs: Mapping[str, Any]) -> None:
        self._pairs = pairs
        self.used: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Any:
        value = self._pairs[name]
        self.used |= {name}
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)


def field_value(component: Component, source: InfotextSource, pairs: NotedPairs) -> Any:
    """The component's value; None where the infotext says nothing that it could hold."""
    used = pairs.used
    if callable(source):
        value = source(pairs)
        if isinstance(value, dict):  # gr.update(value=…)
            value = value.get("value")
    else:
        value = _read(component, str(pairs[source])) if source in pairs else None
    if value is None:
        pairs.used = used  # they found no place
    return value


def _read(component: Component, text: str) -> Any:
    """A value as the infotext writes it → as the component holds it, or None."""
    match component:
        case gr.Checkbox():
            return _WORDS.get(text.strip().lower())
        case gr.Slider() | gr.Number():
            return _number(component, text)
        case gr.Radio():
            return _choice(component, text)
        case gr.CheckboxGroup():
            return _choices(component, text)
        case gr.Dropdown(multiselect=True):
            return _choices(component, text)
        case gr.Dropdown():
            return _choice(component, text)
    return text


def _number(component: Component, text: str) -> float | None:
    low, high = getattr(component, "minimum", None), getattr(component, "maximum", None)
    try:
        value = float(text)
    except ValueError:
        return None
    is_within = (low is None or low <= value) and (high is None or value <= high)
    return value if is_within else None


def _choices(component: Component, text: str) -> list[Any] | None:
    found = [_choice(component, part.strip()) for part in text.split(",") if part.strip()]
    return None if None in found else found


def _choice(component: Component, text: str) -> Any:
    for label, value in choices_of(component):
        if text.lower() in (label.lower(), str(value).lower()):
            return value
    return text if getattr(component, "allow_custom_value", False) else None
