"""From an infotext of a plot's grid back to the fields of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from easel_plots.axes import Axis, axes_of
from easel_plots.names import menu
from easel_plots.order import LETTERS
from easel_plots.values import read_whole, split_values
from modules.core.errors import BadInput

Pairs = Mapping[str, Any]
Files = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Pasted:
    """What an infotext says of one axis."""

    axis: Axis
    text: str
    names: tuple[str, ...]
    """What the axis's menu offers."""
    chosen: tuple[str, ...] | None
    """The values as the menu has them; None where it lacks one."""


class PlotPaste:
    """The values of the page's fields by the names and values of an infotext."""

    def __init__(self, tab: str, files: Files) -> None:
        self._axes = {axis.label.lower(): axis for axis in axes_of(tab)}
        self._files = files

    def kind(self, letter: str, pairs: Pairs) -> str | None:
        """The axis; "Nothing" where the plot had none, None where this tab does not know it."""
        found = self._read(letter, pairs)
        return found.axis.label if found else None

    def text(self, letter: str, pairs: Pairs) -> str | None:
        """The values as text; what stands there of an axis that was not used stays."""
        found = self._read(letter, pairs)
        return found.text if found and found.axis.label != "Nothing" else None

    def chosen(self, letter: str, pairs: Pairs) -> list[str] | None:
        """The values in the menu."""
        found = self._read(letter, pairs)
        if found is None or found.axis.label == "Nothing":
            return None
        return list(found.chosen or ())

    def is_text(self, pairs: Pairs) -> bool | None:
        """True where a menu lacks one of the values, so that they are shown as text."""
        every = (self._read(letter, pairs) for letter in LETTERS)
        return True if any(row and row.names and row.chosen is None for row in every) else None

    def _read(self, letter: str, pairs: Pairs) -> Pasted | None:
        axis = self._axes.get(str(pairs.get(f"{letter} Type", "Nothing")).lower())
        if axis is None:
            return None
        names, text = menu(axis.choices, self._files), _values(letter, axis, pairs)
        by_lower = {name.lower(): name for name in names}
        asked = [by_lower.get(value.lower()) for value in split_values(letter, text)]
        chosen = tuple(name for name in asked if name is not None)
        is_whole = len(chosen) == len(asked)
        return Pasted(axis, text, tuple(names), chosen if is_whole else None)


def fields_of(fields: Sequence[Any], paste: PlotPaste) -> Iterator[tuple[Any, Any]]:
    """The rows of `infotext_fields`. fields: the page's, in the arguments' order."""
    for number, letter in enumerate(LETTERS):
        kind, text, chosen = fields[3 * number : 3 * number + 3]
        yield kind, lambda pairs, letter=letter: paste.kind(letter, pairs)
        yield text, lambda pairs, letter=letter: paste.text(letter, pairs)
        yield chosen, lambda pairs, letter=letter: paste.chosen(letter, pairs)
    yield fields[-1], paste.is_text


def _values(letter: str, axis: Axis, pairs: Pairs) -> str:
    """The values as they were given; seeds that were drawn as they came out."""
    name = f"{letter} Values"
    sides = [str(pairs[f"{name}-{side}"]) for side in (1, 2) if f"{name}-{side}" in pairs]
    text = str(pairs.get(name) or "x".join(sides))  # a single size has been taken apart
    fixed = str(pairs.get(f"Fixed {name}", ""))
    return fixed if fixed and axis.is_seed and _has_random(text) else text


def _has_random(text: str) -> bool:
    try:
        return -1 in read_whole("", text)
    except BadInput:
        return True
