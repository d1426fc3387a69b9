"""A script's arguments against its fields: what a field can never hold is refused.

The check is lenient where scripts are: a name may come in any case or as its place in the menu, a
number as text. A slider's range says what is comfortable, and binds nobody but the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from modules.core.errors import BadInput

Takes = Literal["anything", "number", "bounded", "switch", "text", "choice", "choices"]
"""What a field holds; "bounded": a number whose limits bind, "choices": any number of names."""


@dataclass(frozen=True, slots=True)
class Control:
    """One argument of a script, as its component describes it."""

    label: str
    value: Any
    """The default, as `run` gets it."""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] | None = None
    takes: Takes = "anything"
    values: tuple[Any, ...] = ()
    """What the choices stand for."""


def check_arguments(controls: Sequence[Control], given: Sequence[Any]) -> None:
    """Raises BadInput for the first argument that its field cannot hold."""
    for number, (control, value) in enumerate(zip(controls, given, strict=False)):
        allowed = _CHECKS[control.takes](control, value)
        if allowed:
            raise BadInput(control.label or f"script_args[{number}]", value, allowed)


def _number(control: Control, value: Any) -> str:
    """What is allowed; empty where the value is."""
    if value is None and control.value is None:
        return ""
    return "" if math.isfinite(_as_number(value)) else "a number is needed"


def _bounded(control: Control, value: Any) -> str:
    if allowed := _number(control, value):
        return allowed
    low = -math.inf if control.minimum is None else control.minimum
    high = math.inf if control.maximum is None else control.maximum
    is_within = value is None or low <= _as_number(value) <= high
    return "" if is_within else f"a number from {low:g} to {high:g} is needed"


def _as_number(value: Any) -> float:
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _switch(_control: Control, value: Any) -> str:
    return "" if value in (None, True, False) else "true or false is needed"


def _text(_control: Control, value: Any) -> str:
    return "a text is needed" if isinstance(value, list | tuple | dict) else ""


def _choice(control: Control, value: Any) -> str:
    is_known = value is None or _is_choice(control, value)
    return "" if is_known else f"one of {', '.join(control.choices or ())} is needed"


def _choices(control: Control, value: Any) -> str:
    entries = value if isinstance(value, list | tuple) else [value]
    is_known = value is None or all(_is_choice(control, entry) for entry in entries)
    return "" if is_known else f"some of {', '.join(control.choices or ())} are needed"


def _is_choice(control: Control, value: Any) -> bool:
    labels = control.choices or ()
    if isinstance(value, str):
        known = {str(name).lower() for name in (*labels, *control.values)}
        return value.strip().lower() in known
    is_place = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(labels)
    return is_place or value in control.values


_CHECKS: Final[Mapping[Takes, Callable[[Control, Any], str]]] = {
    "anything": lambda _control, _value: "",
    "number": _number,
    "bounded": _bounded,
    "switch": _switch,
    "text": _text,
    "choice": _choice,
    "choices": _choices,
}
