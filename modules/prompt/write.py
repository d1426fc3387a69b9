r"""Prompt data back to text: the inverse of reading, for prompts that a program makes or changes.

What is written reads as the same data again. Knows the grammars of `attention`, `schedule` and
`compose`; what they say is escaped with a backslash, which the emphasis reader takes away.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from modules.prompt.attention import Weighted
from modules.prompt.compose import Part, split_and

_BRACKETS = re.compile(r"[\\()\[\]]")
_SEPARATORS = re.compile(r"[:|]")
_WORD = re.compile(r"\w")
_WORDS = re.compile(r"\b(BRE)(AK)\b|\b(A)(ND)\b")
HUGE = "9" * 308
"""Two of them multiply to infinity, which no number of the grammar is."""


def write_attention(parts: Iterable[Weighted]) -> str:
    r"""Text that `parse_attention` reads as these parts, empty ones aside.

    >>> write_attention([Weighted("a ", 1.0), Weighted("b:2", 1.5), Weighted(" (c)", 1.0)])
    'a (b\\:2:1.5) \\(c\\)'
    >>> write_attention([Weighted("a", 1.0), Weighted("BREAK", -1.0), Weighted("b", 1.0)])
    'a BREAK b'
    """
    written: list[str] = []
    filled = [part for part in parts if part.text]
    for number, part in enumerate(filled):
        if part.is_break:
            after = filled[number + 1] if number + 1 < len(filled) else None
            before = filled[number - 1].text if number else ""
            written.append(_break(before, after))
        else:
            written.append(_weighted(_escape(part.text), part.weight))
    return "".join(written)


def write_schedule(schedule: Sequence[tuple[int, Iterable[Weighted]]]) -> str:
    """Text that `parse_schedule` expands to these steps' texts, each read by `parse_attention`.

    Given are (last step, parts) in ascending order of steps.

    >>> write_schedule([(5, [Weighted("a", 1.0)]), (20, [Weighted("b", 1.2)])])
    '[a:(b:1.2):5]'
    """
    *earlier, (_, last) = schedule
    texts = [write_attention(parts) for _, parts in earlier]
    opening = "".join(f"[{text}:" for text in texts)
    closing = "".join(f":{end}]" for end, _ in reversed(earlier))
    return opening + write_attention(last) + closing


def write_and(parts: Iterable[Part]) -> str:
    """Text that `split_and` splits into these parts.

    >>> write_and([Part("cat", 1.0), Part(" dog", -0.5)])
    'cat AND dog:-0.5'
    """
    first, *others = [_composed(part) for part in parts]
    # a letter right behind AND would make another word of it
    apart = [f"\\{text}" if _WORD.match(text) else text for text in others]
    return " AND".join([first, *apart])


def _composed(part: Part) -> str:
    # blanks at the end would be cut off; emphasis takes the backslash away again
    text = f"{part.text}\\" if part.text[-1:].isspace() else part.text
    is_plain = part.weight == 1 and split_and(text) == (Part(text, 1.0),)
    return text if is_plain else f"{text}:{_number(part.weight)}"


def _break(before: str, after: Weighted | None) -> str:
    """The word, so that it takes no blanks from its neighbours that are theirs."""
    left = "\\" if before[-1:].isspace() else " "
    # a weighted neighbour begins with its bracket, which keeps its blanks
    takes = after is not None and after.weight == 1 and after.text[:1].isspace()
    right = "\\" if takes else " "
    return f"{left}BREAK{right}"


def _escape(text: str) -> str:
    text = _BRACKETS.sub(r"\\\g<0>", text)
    text = _SEPARATORS.sub(r"\\\g<0>", text)
    return _WORDS.sub(r"\1\3\\\2\4", text)


def _weighted(text: str, weight: float) -> str:
    if weight == 1:
        return text
    if math.isnan(weight):
        return f"({_weighted(text, math.inf)}:0)"
    if math.isinf(weight):
        return f"(({text}:{HUGE}):{'-' if weight < 0 else ''}{HUGE})"
    return f"({text}:{_number(weight)})"


def _number(value: float) -> str:
    """Without an exponent, and exactly this number when read again."""
    return format(Decimal(repr(value)), "f")
