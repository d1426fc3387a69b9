r"""The values of an axis, read from text: lists with commas, ranges, yes and no, sizes, orders.

    1-5          1, 2, 3, 4, 5
    1-9 (+2)     1, 3, 5, 7, 9
    1-10 [5]     five numbers from 1 to 10: 1, 3, 5, 7, 10
    "a, b", c    two values: `a, b` and `c`

Every function raises BadInput naming `field`, the value and what is allowed.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, TypeVar

from modules.core.errors import BadInput

MOST_VALUES = 10_000
"""Of one axis; a range or an order of words easily means more than anyone can wait for."""
LONGEST_NUMBER = 40
"""Characters of a number in a range."""
DIGITS = 8
"""Of a float behind the point, so that 0.1 + 0.2 is written 0.3."""
MOST_WORDS = 7
"""To put into every order: 5,040 orders."""

Number = TypeVar("Number", int, float)

_WHOLE, _REAL = r"\d+", r"(?:\d+(?:\.\d*)?|\.\d+)"
_RANGE = (
    r"([+-]?{number})\s*-\s*([+-]?{number})"
    r"(?:\s*\(\s*([+-]?)\s*({number})\s*\)|\s*\[\s*(\d+)\s*\])?"
)
_WHOLE_RANGE = re.compile(_RANGE.replace("{number}", _WHOLE), re.ASCII)
_REAL_RANGE = re.compile(_RANGE.replace("{number}", _REAL), re.ASCII)
_SIZE = re.compile(r"(\d{1,9})\s*[xX×*]\s*(\d{1,9})")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def split_values(field: str, text: str) -> list[str]:
    """The values between commas or on lines of their own, without the blanks around them.

    >>> split_values("", 'a, "b, c" ,, d')
    ['a', 'b, c', '', 'd']
    """
    try:
        rows = list(csv.reader(io.StringIO(text), skipinitialspace=True))
    except csv.Error as error:
        raise BadInput(field, text, f"values between commas are expected ({error})") from None
    values = [value.strip() for row in rows for value in row]
    if len(values) > MOST_VALUES:
        raise BadInput(field, f"{len(values)} values", f"at most {MOST_VALUES} can be given")
    return values


def join_values(values: Iterable[object]) -> str:
    """The text that `split_values` reads as these values.

    >>> join_values(["a", "b, c"])
    'a, "b, c"'
    """
    return ", ".join(_quoted(str(value)) for value in values)


def _quoted(value: str) -> str:
    is_plain = not any(mark in value for mark in ',"\r\n') and value == value.strip()
    return value if is_plain else '"' + value.replace('"', '""') + '"'


def read_whole(field: str, text: str) -> list[int]:
    """Whole numbers and ranges of them.

    >>> read_whole("", "1-3, 7, 10-2 (-4), 1-10 [5]")
    [1, 2, 3, 7, 10, 6, 2, 1, 3, 5, 7, 10]
    """
    allowed = "whole numbers such as 4, 1-5 or 1-9 (+2)"
    return _read_numbers(field, text, _WHOLE_RANGE, int, allowed)


def read_real(field: str, text: str) -> list[float]:
    """Numbers and ranges of them.

    >>> read_real("", "7, 0.1-0.5 (+0.1), 0-1 [3]")
    [7.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.0, 0.5, 1.0]
    """
    allowed = "numbers such as 0.5, 1-5 or 0.1-0.5 (+0.1)"
    return _read_numbers(field, text, _REAL_RANGE, _finite, allowed)


def read_switches(field: str, text: str) -> list[bool]:
    """Yes and no.

    >>> read_switches("", "True, no")
    [True, False]
    """
    return [_switch(field, part) for part in _filled(field, text)]


def read_switch(field: str, given: Any) -> bool:
    """An argument that is on or off; a text, of which "false" would count as true, is neither."""
    if not isinstance(given, bool):
        raise BadInput(field, given, "true or false is needed")
    return given


def read_sizes(field: str, text: str) -> list[tuple[int, int]]:
    """Width and height in pixels.

    >>> read_sizes("", "512x768, 64 x 64")
    [(512, 768), (64, 64)]
    """
    return [_size(field, part) for part in _filled(field, text)]


def read_orders(field: str, text: str) -> list[tuple[str, ...]]:
    """Every order of the words.

    >>> read_orders("", "a, b")
    [('a', 'b'), ('b', 'a')]
    """
    words = _filled(field, text)
    if len(words) > MOST_WORDS:
        raise BadInput(field, text, f"at most {MOST_WORDS} parts can be put into every order")
    for word in words:
        if words.count(word) > 1:
            raise BadInput(field, word, "each part can be given only once")
    return list(itertools.permutations(words))


def read_texts(field: str, text: str) -> list[str]:
    """Values as they stand; nothing between two commas is a value too."""
    return split_values(field, text)


def read_names(field: str, text: str) -> list[str]:
    """Values as they stand, empty ones left out."""
    return _filled(field, text)


def _filled(field: str, text: str) -> list[str]:
    return [part for part in split_values(field, text) if part]


def _read_numbers(
    field: str,
    text: str,
    range_of: re.Pattern[str],
    read_one: Callable[[str | Fraction], Number],
    allowed: str,
) -> list[Number]:
    values: list[Number] = []
    for part in _filled(field, text):
        match = range_of.fullmatch(part)
        try:
            values += map(read_one, _range(match.groups()) if match else [part])
        except (ValueError, OverflowError) as error:
            reason = f" ({error})" if isinstance(error, _OddRange) else ""
            raise BadInput(field, part, f"{allowed} are expected{reason}") from None
        if len(values) > MOST_VALUES:
            raise BadInput(field, text, f"at most {MOST_VALUES} values can be given")
    return values


class _OddRange(ValueError):
    """A range that means no numbers."""


def _range(groups: Sequence[str | None]) -> list[Fraction]:
    """The numbers of a range: (start, end, sign of the step, step, how many)."""
    start, end, sign, step, count = groups
    if max(len(text or "") for text in groups) > LONGEST_NUMBER:
        raise _OddRange("the numbers are too long")
    first, last = Fraction(str(start)), Fraction(str(end))
    if count is not None:
        return _spread(first, last, int(count))
    stride = Fraction(f"{sign}{step}") if step else Fraction(1 if last >= first else -1)
    if stride == 0 or (last - first) * stride < 0:
        raise _OddRange("the step does not lead to the end")
    steps = math.floor((last - first) / stride)
    if steps >= MOST_VALUES:
        raise _OddRange(f"that is more than {MOST_VALUES} values")
    return [first + stride * i for i in range(steps + 1)]


def _spread(first: Fraction, last: Fraction, count: int) -> list[Fraction]:
    """`count` numbers evenly from `first` to `last`, both ends included."""
    if not 1 <= count <= MOST_VALUES:
        raise _OddRange(f"1 to {MOST_VALUES} values are allowed")
    return [first + (last - first) * i / max(1, count - 1) for i in range(count)]


def _finite(value: str | Fraction) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number if isinstance(value, str) else round(number, DIGITS)


def _switch(field: str, text: str) -> bool:
    word = text.lower()
    if word not in (*_TRUE, *_FALSE):
        raise BadInput(field, text, "True or False is expected")
    return word in _TRUE


def _size(field: str, text: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise BadInput(field, text, "width and height such as 512x768 are expected")
    return int(match[1]), int(match[2])
