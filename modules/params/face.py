"""The mark on a parameter from which its form field, infotext name and command option are made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

A1111_TABS = ("txt2img", "img2img")
"""Tabs whose element ids are A1111's, some of them without the tab's name."""


@dataclass(frozen=True, slots=True)
class Slider:
    """The comfortable range of a number; the bounds of the field itself say what is impossible."""

    minimum: float
    maximum: float
    step: float = 1


@dataclass(frozen=True, slots=True)
class Number:
    """A typed number without a range, such as a seed."""

    step: float = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a table's names; `source` names the table: samplers, schedulers, upscalers …"""

    source: str
    first: tuple[str, ...] = ()
    """Entries before those of the table, such as "Use same sampler"."""


@dataclass(frozen=True, slots=True)
class Text:
    """Typed text of so many lines."""

    lines: int = 1
    placeholder: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A box to tick."""


@dataclass(frozen=True, slots=True)
class ManyChoices:
    """Any number of a table's names."""

    source: str


@dataclass(frozen=True, slots=True)
class Radio:
    """One of a few named values; a value is its label's place, counted from 0 (False, True)."""

    labels: tuple[str, ...]

    def value(self, label: str) -> int:
        """The value of a label. Raises ValueError for an unknown one."""
        return self.labels.index(label)


Widget = Slider | Number | Choice | Text | Check | ManyChoices | Radio


@dataclass(frozen=True, slots=True)
class Face:
    """How a parameter shows itself to people."""

    label: str
    widget: Widget | None = None
    """None: no form field of its own."""
    infotext: str | None = None
    element: str | None = None
    """Element id in the page without the tab's prefix; "=id" has none in A1111's tabs."""
    ui_default: Any = None
    """The form's default where it differs from the REST default."""
    tooltip: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a class, its pydantic field and its face together."""

    name: str
    field: FieldInfo
    face: Face

    @property
    def ui_default(self) -> Any:
        """What the form shows at first."""
        if self.face.ui_default is not None:
            return self.face.ui_default
        return self.field.get_default(call_default_factory=True)

    def element_id(self, tab: str) -> str | None:
        """A1111's element id of the form field in `tab`, None when it has none."""
        element = self.face.element or self.name
        if self.face.widget is None:
            return None
        if element.startswith("=") and tab in A1111_TABS:
            return element[1:]
        return f"{tab}_{element.removeprefix('=')}"


def parameters(model: type[BaseModel]) -> Iterator[Parameter]:
    """All parameters of `model` that carry a Face, in order of definition."""
    for name, field in model.model_fields.items():
        for mark in field.metadata:
            if isinstance(mark, Face):
                yield Parameter(name, field, mark)
