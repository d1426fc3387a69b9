"""How the value of an axis gets into the copy of `p` that makes one picture.

Each function changes that copy only: lists and dictionaries are replaced, never written into,
except for `override_settings`, of which every copy has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Apply = Callable[[Any, Any, Sequence[Any]], None]
"""(p, value, all values of the axis)."""

MODEL_OF_FACES = "face_restoration_model"


def nothing(p: Any, value: Any, values: Sequence[Any]) -> None:
    """Change nothing."""


def attribute(name: str) -> Apply:
    """Set a parameter."""

    def apply(p: Any, value: Any, values: Sequence[Any]) -> None:
        setattr(p, name, value)

    return apply


def setting(key: str, *instead_of: str) -> Apply:
    """Override a setting; parameters that would go before it are taken back."""

    def apply(p: Any, value: Any, values: Sequence[Any]) -> None:
        p.override_settings[key] = value
        for name in instead_of:
            if hasattr(p, name):
                setattr(p, name, None)

    return apply


def size(p: Any, value: tuple[int, int], values: Sequence[Any]) -> None:
    """Set width and height."""
    p.width, p.height = value


def search_replace(p: Any, value: str, values: Sequence[str]) -> None:
    """Put the value in the place of the axis' first one, in both prompts."""
    for name in ("prompt", "negative_prompt"):
        setattr(p, name, getattr(p, name).replace(values[0], value))


def order(p: Any, value: Sequence[str], values: Sequence[Sequence[str]]) -> None:
    """Bring the parts of the prompt into this order; what stands between them stays.

    Each part is taken where it stands first.
    """
    p.prompt = reordered(p.prompt, value)


def reordered(prompt: str, parts: Sequence[str]) -> str:
    """The prompt with `parts`, wherever they stand in it, in the given order.

    >>> reordered("a cat, big, in the rain", ("in the rain", "cat", "big"))
    'a in the rain, cat, big'
    """
    found: list[tuple[int, str]] = []
    for part in sorted(parts, key=len, reverse=True):
        place = _free_place(prompt, part, found)
        if place >= 0:
            found.append((place, part))
    present = [part for _, part in found]
    wanted = [part for part in parts if part in present]
    text, end = "", 0
    for (place, old), new in zip(sorted(found), wanted, strict=True):
        text += prompt[end:place] + new
        end = place + len(old)
    return text + prompt[end:]


def _free_place(prompt: str, part: str, taken: Sequence[tuple[int, str]]) -> int:
    """Where `part` stands first outside the taken places; -1: nowhere."""
    place = prompt.find(part)
    while place >= 0:
        if all(place >= at + len(old) or place + len(part) <= at for at, old in taken):
            return place
        place = prompt.find(part, place + 1)
    return -1


def styles(p: Any, value: str, values: Sequence[str]) -> None:
    """Add styles, several with commas between them, to those that the request names."""
    p.styles = [*p.styles, *style_names(value)]


def style_names(value: str) -> list[str]:
    """
    >>> style_names("Oil, Ink")
    ['Oil', 'Ink']
    """
    return [name.strip() for name in value.split(",") if name.strip()]


def face_restorer(p: Any, value: str, values: Sequence[str]) -> None:
    """Switch face restoration on with this restorer, or off."""
    p.restore_faces = value != "None"
    if p.restore_faces:
        p.override_settings[MODEL_OF_FACES] = value
