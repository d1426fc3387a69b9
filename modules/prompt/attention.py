"""Emphasis: prompt text -> weighted parts.

Knows brackets, weights, escapes and BREAK. Must not know tokens, models or schedules.

Grammar (A1111 1.10 behaviour)::

    (text)       weight x 1.1          [text]      weight / 1.1
    (text:1.5)   weight x 1.5          \\( \\) \\[ \\] \\\\   the character itself
    BREAK        a part of its own with weight -1 (see `Weighted.is_break`)
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

Emphasis = Literal["Original", "No norm", "Ignore", "None"]

ROUND_FACTOR = 1.1
SQUARE_FACTOR = 1 / 1.1
# Deeper brackets are text: 1.1 ** 100 is far past any use, and the bound keeps the time linear.
MAX_DEPTH = 100

_PIECE = re.compile(
    r"""
      \\(?P<escaped>[\\()\[\]])
    | (?P<dropped>\\)
    | (?P<open>[(\[])
    | :\s*(?P<weight>[+-]?[.\d]+)\s*\)
    | (?P<close>[)\]])
    | (?P<text>[^\\()\[\]:]+|:)
    """,
    re.VERBOSE,
)
_BREAK = re.compile(r"\bBREAK\b")


@dataclass(frozen=True, slots=True)
class Weighted:
    """A piece of prompt text and the multiplier of its tokens."""

    text: str
    weight: float

    @property
    def is_break(self) -> bool:
        """Whether this part ends the chunk instead of being text.

        Inside a weighted group BREAK gets another weight and stays a word (A1111 1.10 quirk).
        """
        return self.text == "BREAK" and self.weight == -1


def parse_attention(text: str, emphasis: Emphasis = "Original") -> tuple[Weighted, ...]:
    r"""Read brackets and weights; never raises, and always returns at least one part.

    An unclosed bracket acts to the end; a closing one without partner is text. A weight that is
    no finite number (`(a:1..2)`) is text too, where A1111 1.10 raises ValueError. With emphasis
    "None" nothing is read and the text is one part.

    >>> [(part.text, part.weight) for part in parse_attention("a (b:1.5), [c:2]")]
    [('a ', 1.0), ('b', 1.5), (', ', 1.0), ('c:2', 0.9090909090909091)]
    >>> [(part.text, part.weight) for part in parse_attention(r"\(a\) BREAK b")]
    [('(a)', 1.0), ('BREAK', -1.0), ('b', 1.0)]
    >>> [(part.text, part.weight) for part in parse_attention("(a:1..2)")]
    [('a:1..2', 1.1)]
    >>> parse_attention("(a)", "None")
    (Weighted(text='(a)', weight=1.0),)
    """
    if emphasis == "None":
        return (Weighted(text, 1.0),)
    reader = _Reader()
    for match in _PIECE.finditer(text):
        reader.read(match)
    return reader.finish()


def uses_emphasis(text: str) -> bool:
    """Whether any part of the text has a weight of its own.

    >>> uses_emphasis("a (b)"), uses_emphasis("a BREAK b")
    (True, False)
    """
    return any(part.weight != 1 and part.text != "BREAK" for part in parse_attention(text))


class _Reader:
    """Parts so far, and where each still open bracket began."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.weights: list[float] = []
        self.round_starts: list[int] = []
        self.square_starts: list[int] = []

    def read(self, match: re.Match[str]) -> None:
        """Take one piece of the text."""
        value = match[match.lastgroup] if match.lastgroup else ""
        match match.lastgroup:
            case "open":
                self._open(value)
            case "close":
                self._close(value)
            case "weight":
                self._close_weighted(match[0], value)
            case "escaped":
                self._append(value, 1.0)
            case "text":
                self._append_text(value)

    def finish(self) -> tuple[Weighted, ...]:
        """Apply the brackets left open, then join neighbours of equal weight."""
        for starts, factor in (
            (self.round_starts, ROUND_FACTOR),
            (self.square_starts, SQUARE_FACTOR),
        ):
            for start in starts:
                self._multiply(start, factor)
        return tuple(self._merged()) or (Weighted("", 1.0),)

    def _open(self, bracket: str) -> None:
        starts = self.round_starts if bracket == "(" else self.square_starts
        if len(starts) < MAX_DEPTH:
            starts.append(len(self.texts))
        else:
            self._append(bracket, 1.0)

    def _close(self, bracket: str) -> None:
        starts = self.round_starts if bracket == ")" else self.square_starts
        if starts:
            self._multiply(starts.pop(), ROUND_FACTOR if bracket == ")" else SQUARE_FACTOR)
        else:
            self._append(bracket, 1.0)

    def _close_weighted(self, whole: str, number: str) -> None:
        weight = _finite(number)
        if weight is None:
            self._append_text(whole[:-1])
            self._close(")")
        elif self.round_starts:
            self._multiply(self.round_starts.pop(), weight)
        else:
            self._append(whole, 1.0)

    def _append(self, text: str, weight: float) -> None:
        self.texts.append(text)
        self.weights.append(weight)

    def _append_text(self, text: str) -> None:
        parts = _BREAK.split(text)
        for number, part in enumerate(parts):
            if number > 0:
                self._append("BREAK", -1.0)
                part = part.lstrip()
            self._append(part if number == len(parts) - 1 else part.rstrip(), 1.0)

    def _multiply(self, start: int, factor: float) -> None:
        for index in range(start, len(self.weights)):
            self.weights[index] *= factor

    def _merged(self) -> Iterator[Weighted]:
        pairs = zip(self.texts, self.weights, strict=True)
        for weight, group in groupby(pairs, key=lambda pair: pair[1]):
            yield Weighted("".join(text for text, _ in group), weight)


def _finite(number: str) -> float | None:
    try:
        value = float(number)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
