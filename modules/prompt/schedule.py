"""Prompt schedules: which text holds at which sampling step.

Knows `[from:to:when]` and `[a|b]`. Must not know weights' effect, tokens or samplers.

Grammar (A1111 1.10 behaviour); every part may hold further brackets::

    [from:to:when]   `from` up to step `when`, then `to`      [to:when]   nothing, then `to`
    [a|b|c]          another one each step, in turn           [fe|]male   empty ones are fine
    (text) (text:w) [text] \\[ \\] \\( \\) \\: \\|   text, kept as it is for the emphasis parser

A bracket that can be read as none of these is text, and so are the brackets around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias

_TOKEN = re.compile(r"\\.|[\[\]():|]|[^\\\[\]():|]+|\\", re.DOTALL)
_WHEN = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")
_CLOSING = {"(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A prompt text and the last step (1-based, inclusive) for which it holds."""

    end_step: int
    text: str


def parse_schedule(
    text: str, steps: int, hires_steps: int | None = None, old: bool = False
) -> tuple[Scheduled, ...]:
    """Expand schedules to the texts of all steps; never raises, at least one entry.

    `steps` are those of the first pass; `hires_steps` asks for the hires pass, whose whole
    numbers count on from the first pass and whose fractions run from 1.0 to 2.0. `old` is the
    setting use_old_scheduling: a number below 1 is a fraction, any other a step, in both passes.

    >>> [(part.end_step, part.text) for part in parse_schedule("a [cat:dog:0.25]", 20)]
    [(5, 'a cat'), (20, 'a dog')]
    >>> [(part.end_step, part.text) for part in parse_schedule("[a|b]", 3)]
    [(1, 'a'), (2, 'b'), (3, 'a')]
    >>> [(part.end_step, part.text) for part in parse_schedule("[a:b:c:0.5]", 20)]
    [(20, '[a:b:c:0.5]')]
    """
    parser = _Parser(_Clock(steps, hires_steps, old))
    nodes = parser.parse(text)
    last = parser.clock.last
    ends = sorted({step for step in parser.ends if 1 <= step < last} | {last})
    return tuple(Scheduled(end, "".join(_render(nodes, end))) for end in ends)


def text_at(schedule: Sequence[Scheduled], step: int) -> str:
    """The text of one step (1-based); the last one's behind the end.

    >>> text_at(parse_schedule("[a:b:2]", 4), 3)
    'b'
    """
    found = (part.text for part in schedule if step <= part.end_step)
    return next(found, schedule[-1].text)


@dataclass(frozen=True, slots=True)
class _Clock:
    """Reads the number of a schedule as a step of one pass."""

    steps: int
    hires_steps: int | None
    old: bool

    @property
    def last(self) -> int:
        """The pass's last step."""
        return self.steps if self.hires_steps is None else self.hires_steps

    def step(self, number: str) -> int:
        """The last step before the change, between 0 (changed at once) and `last`."""
        value = float(number)
        is_hires = self.hires_steps is not None
        if self.old:
            value = value * self.last if value < 1 else value
        elif "." in number:
            value = (value - 1 if is_hires else value) * self.last
        elif is_hires:
            value -= self.steps
        return int(min(max(value, 0), self.last))


@dataclass(frozen=True, slots=True)
class _Text:
    """Brackets that are no schedule, with what is in them."""

    nodes: list[_Node]

    def at(self, step: int) -> list[_Node]:
        return self.nodes


@dataclass(frozen=True, slots=True)
class _Change:
    """`[before:after:when]`."""

    before: list[_Node]
    after: list[_Node]
    when: int

    def at(self, step: int) -> list[_Node]:
        return self.before if step <= self.when else self.after


@dataclass(frozen=True, slots=True)
class _Alternation:
    """`[a|b|c]`."""

    options: list[list[_Node]]

    def at(self, step: int) -> list[_Node]:
        return self.options[(step - 1) % len(self.options)]


_Node: TypeAlias = str | _Text | _Change | _Alternation


@dataclass(slots=True)
class _Group:
    """An open bracket: its fields so far, and the ":" or "|" between them."""

    bracket: str
    fields: list[list[_Node]] = field(default_factory=lambda: [[]])
    separators: list[str] = field(default_factory=list)
    # Holds something that is no readable group, so that it cannot be one either.
    is_broken: bool = False

    def flat(self) -> Iterator[_Node]:
        """Everything from the opening bracket on, as text."""
        yield self.bracket
        for separator, nodes in zip(["", *self.separators], self.fields, strict=True):
            if separator:
                yield separator
            yield from nodes


class _Parser:
    """Reads brackets with a stack of its own: depth is the user's, recursion's is not."""

    def __init__(self, clock: _Clock) -> None:
        self.clock = clock
        self.ends: set[int] = set()
        self._root: list[_Node] = []
        self._open: list[_Group] = []

    def parse(self, text: str) -> list[_Node]:
        """The text's nodes; `ends` then holds the steps at which something changes."""
        for match in _TOKEN.finditer(text):
            token = match[0]
            if token in _CLOSING:
                self._open.append(_Group(token))
            elif token in ("]", ")"):
                self._close(token)
            elif token in (":", "|") and self._open:
                self._open[-1].separators.append(token)
                self._open[-1].fields.append([])
            else:
                self._append(token)
        self._give_up()
        return self._root

    def _append(self, node: _Node) -> None:
        (self._open[-1].fields[-1] if self._open else self._root).append(node)

    def _close(self, bracket: str) -> None:
        if not self._open or _CLOSING[self._open[-1].bracket] != bracket:
            self._give_up()
            self._root.append(bracket)
            return
        group = self._open.pop()
        node = None if group.is_broken else self._read(group)
        if node is None:
            node = _Text([*group.flat(), bracket])
            if self._open:
                self._open[-1].is_broken = True
        self._append(node)

    def _give_up(self) -> None:
        """Make every open bracket text; groups complete within them keep their meaning."""
        self._root.extend(chain.from_iterable(group.flat() for group in self._open))
        self._open.clear()

    def _read(self, group: _Group) -> _Node | None:
        if "|" in group.separators:
            return self._read_alternation(group)
        if not group.separators or (group.bracket == "(" and len(group.separators) == 1):
            return _Text([*group.flat(), _CLOSING[group.bracket]])
        return self._read_change(group)

    def _read_alternation(self, group: _Group) -> _Node | None:
        if group.bracket == "(" or ":" in group.separators:
            return None
        self.ends.update(range(1, self.clock.last))
        return _Alternation(group.fields)

    def _read_change(self, group: _Group) -> _Node | None:
        *texts, last = group.fields
        number = _WHEN.fullmatch("".join(node for node in last if isinstance(node, str)))
        if group.bracket == "(" or len(texts) > 2 or not number or len(last) > 1:
            return None
        when = self.clock.step(number[1])
        self.ends.add(when)
        return _Change(texts[0] if len(texts) == 2 else [], texts[-1], when)


def _render(nodes: list[_Node], step: int) -> Iterator[str]:
    """The pieces of text that hold at one step, in order."""
    stack = [iter(nodes)]
    while stack:
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
        elif isinstance(node, str):
            yield node
        else:
            stack.append(iter(node.at(step)))
