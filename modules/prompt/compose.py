"""AND: one prompt of several weighted prompts.

Knows the word AND and the weight behind each part. Must not know schedules or emphasis.
"""

import math
import re
from dataclasses import dataclass

_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"\s*([+-]?(?:\d+\.?|\d*\.\d+))")


@dataclass(frozen=True, slots=True)
class Part:
    """One prompt of a composition, and the factor of its guidance."""

    text: str
    weight: float


def split_and(text: str) -> tuple[Part, ...]:
    """Split at AND and take the weight off each part's end; never raises, at least one part.

    Only blanks behind the text go (A1111 1.10 behaviour). A weight must be the part's end, so
    the one of "(a:1.2)" stays; a prompt without AND can have one too.

    >>> [(part.text, part.weight) for part in split_and("cat :1 AND dog : -.5 ")]
    [('cat', 1.0), (' dog', -0.5)]
    >>> [(part.text, part.weight) for part in split_and("cats and dogs:2")]
    [('cats and dogs', 2.0)]
    """
    return tuple(_part(piece.rstrip()) for piece in _AND.split(text))


def _part(text: str) -> Part:
    before, colon, after = text.rpartition(":")
    number = _WEIGHT.fullmatch(after) if colon else None
    weight = float(number[1]) if number else math.inf
    if not math.isfinite(weight):
        return Part(text, 1.0)
    return Part(before.rstrip(), weight)
