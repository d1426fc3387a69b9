"""A script's arguments as they come from a page or a REST body, checked.

Each function raises BadInput naming the argument by its label.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from modules.core.errors import BadInput
from modules.images.decode import MAX_PIXELS
from modules.params.generation import MAX_SIDE


def number(label: str, value: Any, least: float, most: float) -> float:
    """A finite number from `least` to `most`."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if isinstance(value, bool) or not least <= found <= most:
        raise BadInput(label, value, f"a number from {least:g} to {most:g} is needed")
    return found


def whole(label: str, value: Any, least: int, most: int) -> int:
    """A whole number from `least` to `most`."""
    found = number(label, value, least, most)
    if not found.is_integer():
        raise BadInput(label, value, f"a whole number from {least} to {most} is needed")
    return int(found)


def one_of(label: str, value: Any, choices: Sequence[str]) -> str:
    """One of `choices`: by its name in any case, or by its place counted from 0."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(choices):
        return choices[value]
    for choice in choices:
        if isinstance(value, str) and value.strip().lower() == choice.lower():
            return choice
    raise BadInput(label, value, f"one of {', '.join(choices)} is needed")


def some_of(label: str, value: Any, choices: Sequence[str]) -> tuple[str, ...]:
    """One or more of `choices`, in the order of those."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not given:
        raise BadInput(label, value, f"at least one of {', '.join(choices)} is needed")
    chosen = {one_of(label, entry, choices) for entry in given}
    return tuple(choice for choice in choices if choice in chosen)


def switch(label: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise BadInput(label, value, "true or false is needed")
    return value


def text(label: str, value: Any) -> str:
    """A text; nothing at all is an empty one."""
    if value is not None and not isinstance(value, str):
        raise BadInput(label, value, "a text is needed")
    return value or ""


def check_size(label: str, value: Any, width: int, height: int) -> None:
    """Refuse an argument whose picture would be too large; sides in pixels."""
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        most = f"at most {MAX_SIDE} pixels a side and {MAX_PIXELS // 1_000_000} megapixels"
        raise BadInput(label, value, f"the picture would have {width}x{height} pixels, {most} fit")
