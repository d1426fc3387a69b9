"""What was asked of an X/Y/Z plot: the arguments of a request, read and checked."""

from __future__ import annotations

import copy
import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from easel_plots.axes import Axis, find_axis, written
from easel_plots.grids import read_margin
from easel_plots.names import is_img2img, is_known_menu
from easel_plots.values import join_values, read_switch
from modules.core.errors import BadInput, EaselError, NotFound

LETTERS = ("X", "Y", "Z")


@dataclass(frozen=True, slots=True)
class Line:
    """An axis with its values."""

    letter: str
    axis: Axis
    text: str
    """The values as they were given; infotexts repeat it."""
    values: tuple[Any, ...]
    """As the tables name them."""
    shown: tuple[Any, ...]
    """The values as a legend shows them: names as they were given."""

    @property
    def field(self) -> str:
        """What an error calls the values."""
        return field_of(self.letter, self.axis)

    @property
    def is_used(self) -> bool:
        """Whether it is an axis at all."""
        return self.axis.label != "Nothing"


class Arguments(NamedTuple):
    """The script's arguments, in the order in which requests give them."""

    x_type: Any = 0
    x_values: Any = ""
    x_choices: Any = ()
    y_type: Any = 0
    y_values: Any = ""
    y_choices: Any = ()
    z_type: Any = 0
    z_values: Any = ""
    z_choices: Any = ()
    draw_legend: Any = True
    include_lone_images: Any = False
    include_sub_grids: Any = False
    keeps_random_seeds: Any = False
    vary_seeds_x: Any = False
    vary_seeds_y: Any = False
    vary_seeds_z: Any = False
    margin: Any = 0
    is_text: Any = False
    """Whether text counts where a menu could be used."""


SWITCHES = {
    "draw_legend": "Draw legend",
    "include_lone_images": "Include Sub Images",
    "include_sub_grids": "Include Sub Grids",
    "keeps_random_seeds": "Keep -1 for seeds",
    "vary_seeds_x": "Vary seeds for X",
    "vary_seeds_y": "Vary seeds for Y",
    "vary_seeds_z": "Vary seeds for Z",
    "is_text": "Use text inputs instead of dropdowns",
}
"""Arguments that are on or off, and what the page calls them."""


@dataclass(frozen=True, slots=True)
class Order:
    """A checked plot."""

    lines: tuple[Line, Line, Line]
    varies: tuple[bool, bool, bool]
    """Whether each step along X, Y, Z takes another seed."""
    draw_legend: bool
    include_lone_images: bool
    include_sub_grids: bool
    keeps_random_seeds: bool
    margin: int
    """Pixels."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many values X, Y and Z have."""
        x, y, z = (len(line.values) for line in self.lines)
        return x, y, z


def read_order(p: Any, given: Arguments) -> Order:
    """The plot that the arguments mean, every value tried on `p`.

    Raises BadInput naming the axis, the value and what is allowed, before any picture is made.
    """
    tab = "img2img" if is_img2img(p) else "txt2img"
    on = {name: read_switch(label, getattr(given, name)) for name, label in SWITCHES.items()}
    lines = [_line(p, tab, given, number, is_text=on["is_text"]) for number in range(3)]
    if not on["keeps_random_seeds"]:
        lines = [_with_fixed_seeds(p, line) for line in lines]
    margin = read_margin(given.margin or 0)
    for line in lines:
        _check_all(p, line)
    return Order(
        lines=(lines[0], lines[1], lines[2]),
        varies=(on["vary_seeds_x"], on["vary_seeds_y"], on["vary_seeds_z"]),
        draw_legend=on["draw_legend"],
        include_lone_images=on["include_lone_images"],
        include_sub_grids=on["include_sub_grids"],
        keeps_random_seeds=on["keeps_random_seeds"],
        margin=margin,
    )


def check_order(tab: str, given: Arguments) -> None:
    """Raises BadInput for what can be known to be no plot without the job's other parameters."""
    on = {name: read_switch(label, getattr(given, name)) for name, label in SWITCHES.items()}
    read_margin(given.margin or 0)
    for number in range(3):
        line = _as_given(tab, given, number, is_text=on["is_text"])
        if line.axis.resolve is not None and is_known_menu(line.axis.choices):
            for name in line.values:
                _resolved(None, line.axis, line.field, name)


def field_of(letter: str, axis: Axis) -> str:
    """What an error calls the values of an axis.

    >>> field_of("X", find_axis("txt2img", "X", "Steps"))
    'X values (Steps)'
    """
    return f"{letter} values ({axis.label})"


def own_copy(p: Any) -> Any:
    """A copy of `p` for one picture; what an axis changes in it stays in it."""
    own = copy.copy(p)
    own.override_settings = dict(p.override_settings)
    own.extra_generation_params = dict(p.extra_generation_params)
    return own


def _line(p: Any, tab: str, given: Arguments, number: int, *, is_text: bool) -> Line:
    """An axis with the names of its values as the tables have them."""
    line = _as_given(tab, given, number, is_text=is_text)
    if line.axis.resolve is None:
        return line
    names = (_resolved(p, line.axis, line.field, name) for name in line.values)
    return dataclasses.replace(line, values=tuple(names))


def _as_given(tab: str, given: Arguments, number: int, *, is_text: bool) -> Line:
    letter = LETTERS[number]
    kind, text, chosen = given[3 * number : 3 * number + 3]
    axis = find_axis(tab, letter, kind)
    if axis.label == "Nothing":
        return Line(letter, axis, "", (None,), (None,))
    field = field_of(letter, axis)
    if chosen and axis.choices is not None and not is_text:
        text = join_values(_list(field, chosen))
    text = "" if text is None else str(text)
    values = axis.read(field, text)
    if not values:
        raise BadInput(field, text, "at least one value is needed")
    return Line(letter, axis, text, tuple(values), tuple(values))


def _list(field: str, chosen: Any) -> Sequence[Any]:
    if not isinstance(chosen, list | tuple):
        raise BadInput(field, chosen, "a list is expected")
    return chosen


def _resolved(p: Any, axis: Axis, field: str, value: str) -> str:
    assert axis.resolve is not None
    try:
        return axis.resolve(p, value)
    except NotFound as error:
        raise BadInput(field, value, _near(value, error.choices)) from error


def _near(name: str, known: Sequence[str]) -> str:
    lowered = {row.lower(): row for row in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    if near:
        return f"the nearest known name is '{lowered[near[0]]}'"
    return f"known names: {', '.join(known[:12])}" if known else "there are none"


def _with_fixed_seeds(p: Any, line: Line) -> Line:
    if not line.axis.is_seed:
        return line
    seeds = tuple(map(p.fixed_seed, line.values))
    return dataclasses.replace(line, values=seeds, shown=seeds)


def _check_all(p: Any, line: Line) -> None:
    if line.axis.label == "Prompt S/R":
        prompts = f"{p.prompt}\n{p.negative_prompt}"
        if not line.values[0] or line.values[0] not in prompts:
            raise BadInput(line.field, line.values[0], "the first value must stand in a prompt")
    if line.axis.label == "Prompt order":
        for word in line.values[0]:
            if word not in p.prompt:
                raise BadInput(line.field, word, "each part must stand in the prompt")
    for value in line.values:
        _check(p, line, value)


def _check(p: Any, line: Line, value: Any) -> None:
    """Try a value on a copy."""
    own = own_copy(p)
    line.axis.apply(own, value, line.values)
    try:
        own.freeze()
        p.job.settings.with_overrides(own.override_settings)
    except BadInput as error:
        inner = error.__cause__ if isinstance(error.__cause__, BadInput) else error
        raise BadInput(line.field, written(value), inner.allowed) from error
    except EaselError as error:
        raise BadInput(line.field, written(value), str(error).rstrip(".?")) from error
