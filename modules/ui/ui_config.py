"""The user's own defaults of the forms: `ui-config.json` under A1111's keys; only read.

A key is "tab/Label/what", what being value, minimum, maximum, step or visible. Keys that name no
field here stay in the file without an effect: it may have come from A1111, or belong to a script.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import TypeAdapter, ValidationError

from modules.core.errors import BadInput
from modules.params.face import Check, Choice, ManyChoices, Parameter, Radio, Slider

log = logging.getLogger(__name__)

RANGE: Final = ("minimum", "maximum", "step")
MAX_FILE: Final = 10 * 2**20
"""Bytes; A1111's own file with many extensions has a few hundred thousand."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A parameter as the user wants its field."""

    parameter: Parameter
    visible: bool = True
    has_value: bool = False
    """Whether the user wants another value at the start than Easel's."""


class UiConfig:
    """The entries of one file."""

    def __init__(self, entries: Mapping[str, Any], source: str = "ui-config.json") -> None:
        """`source`: the file's name, for the log."""
        self._entries = {key.casefold(): value for key, value in entries.items()}
        self._source = source

    @classmethod
    def read(cls, file: Path) -> UiConfig:
        """The file's entries; none, and a line in the log, where it cannot be read."""
        try:
            if file.stat().st_size > MAX_FILE:
                raise ValueError(f"it is larger than {MAX_FILE} bytes")
            entries = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(entries, dict):
                raise ValueError("a JSON object is expected")
        except FileNotFoundError:
            entries = {}
        except (OSError, ValueError) as error:
            log.warning("%s cannot be read (%s); the forms begin with Easel's own values.",
                        file, error)  # fmt: skip
            entries = {}
        return cls(entries, file.name)

    def wish(self, tab: str, parameter: Parameter, names: tuple[str, ...] | None = None) -> Wish:
        """A parameter with the user's range and value; what cannot be used is told in the log.

        names: what a menu offers, None where it is none.
        """
        wish = Wish(parameter)
        for change in (self._range, self._value, self._visible):
            try:
                wish = change(tab, wish, names)
            except BadInput as error:
                log.warning("In %s: %s The field keeps its own.", self._source, error)
        return wish

    def _get(self, tab: str, wish: Wish, what: str) -> Any:
        return self._entries.get(_key(tab, wish, what).casefold())

    def _range(self, tab: str, wish: Wish, _names: tuple[str, ...] | None) -> Wish:
        """A slider's range, where any of its three numbers is given."""
        widget = wish.parameter.face.widget
        given = {what: self._get(tab, wish, what) for what in RANGE}
        given = {what: value for what, value in given.items() if value is not None}
        if not isinstance(widget, Slider) or not given:
            return wish
        for what, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise BadInput(_key(tab, wish, what), value, "a number is expected")
        made = replace(widget, **given)
        if not made.minimum < made.maximum or made.step <= 0:
            words = f"{made.minimum:g} to {made.maximum:g} in steps of {made.step:g}"
            raise BadInput(_key(tab, wish, next(iter(given))), words, "that is no range")
        return replace(wish, parameter=_with_face(wish.parameter, widget=made))

    def _value(self, tab: str, wish: Wish, names: tuple[str, ...] | None) -> Wish:
        """The value at the start, checked as one that was typed."""
        value = self._get(tab, wish, "value")
        if value is None:
            return wish
        key = _key(tab, wish, "value")
        value = _typed(key, value, wish.parameter, names)
        widget = wish.parameter.face.widget
        if isinstance(widget, Slider) and not widget.minimum <= value <= widget.maximum:
            allowed = f"the slider goes from {widget.minimum:g} to {widget.maximum:g}"
            raise BadInput(key, value, allowed)
        is_new = value != wish.parameter.ui_default
        return replace(
            wish, parameter=_with_face(wish.parameter, ui_default=value), has_value=is_new
        )

    def _visible(self, tab: str, wish: Wish, _names: tuple[str, ...] | None) -> Wish:
        visible = self._get(tab, wish, "visible")
        if visible is None:
            return wish
        if not isinstance(visible, bool):
            raise BadInput(_key(tab, wish, "visible"), visible, "true or false is expected")
        return replace(wish, visible=visible)


def _key(tab: str, wish: Wish, what: str) -> str:
    return f"{tab}/{wish.parameter.face.label}/{what}"


def _with_face(parameter: Parameter, **changes: Any) -> Parameter:
    return replace(parameter, face=replace(parameter.face, **changes))


def _typed(key: str, value: Any, parameter: Parameter, names: tuple[str, ...] | None) -> Any:
    """The value as the form holds it. Raises BadInput for one that the field cannot show."""
    widget = parameter.face.widget
    if isinstance(widget, Check) and not isinstance(value, bool):
        raise BadInput(key, value, "true or false is expected")
    if isinstance(widget, Radio) and isinstance(value, str):
        if value not in widget.labels:
            raise BadInput(key, value, f"allowed: {', '.join(widget.labels)}")
        value = widget.value(value)
    if names is not None:
        _check_names(key, value, names)
    kind: Any = Annotated[(parameter.field.annotation, *parameter.field.metadata)]
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise BadInput(key, value, error.errors()[0]["msg"]) from error


def _check_names(key: str, value: Any, names: tuple[str, ...]) -> None:
    for one in value if isinstance(value, list) else [value]:
        if one not in names:
            raise BadInput(key, one, f"allowed: {', '.join(names)}")


def menu_of(parameter: Parameter) -> tuple[str, tuple[str, ...]] | None:
    """Table and first entries of a parameter's menu; None where it has none."""
    match parameter.face.widget:
        case Choice(source, first):
            return source, first
        case ManyChoices(source):
            return source, ()
    return None
