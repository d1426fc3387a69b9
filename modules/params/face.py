"""The mark on a parameter from which its form field, infotext name and command option are made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo


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


Widget = Slider | Number | Choice | Text | Check | ManyChoices


@dataclass(frozen=True, slots=True)
class Face:
    """How a parameter shows itself to people."""

    label: str
    widget: Widget | None = None
    """None: no form field of its own."""
    infotext: str | None = None
    element: str | None = None
    """Element id in the page without the tab's prefix; "=id" is an id without prefix."""
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
        return element[1:] if element.startswith("=") else f"{tab}_{element}"


def parameters(model: type[BaseModel]) -> Iterator[Parameter]:
    """All parameters of `model` that carry a Face, in order of definition."""
    for name, field in model.model_fields.items():
        for mark in field.metadata:
            if isinstance(mark, Face):
                yield Parameter(name, field, mark)
