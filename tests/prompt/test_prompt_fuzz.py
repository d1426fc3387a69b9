"""No text makes the prompt language raise, and long ones take linear time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.prompt.attention import parse_attention
from modules.prompt.chunks import SpecialTokens, chunk_tokens
from modules.prompt.comments import strip_comments
from modules.prompt.compose import split_and
from modules.prompt.count import CountOptions, count_tokens
from modules.prompt.networks import extract_networks
from modules.prompt.schedule import parse_schedule

PIECES = ["(", ")", "[", "]", ":", "|", "\\", "<", ">", "#", "\n", " ", "=", ",", "a", "1.5", "-2"]
PIECES += ["BREAK", "AND", "lora", "0.5", "1..2", "٣", "é", "😀", "\ud800"]
grammar = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
LENGTH = 100_000
# Linear code takes well under a second; quadratic code at this length takes minutes.
LIMIT_S = 30.0


UNITS = ["a", " ", "(", ")", "[", "(a", "(a)", "[a|", "a:", ":1", "\\", "<a:", "<", "#", "# \n"]
UNITS += [",", "a, ", "AND ", "BREAK ", "a BREAK ", "[a:b:1]", "[a|b]", "😀", "1"]


def letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


READERS: dict[str, Callable[[str], object]] = {
    "attention": parse_attention,
    "schedule": lambda text: parse_schedule(text, 20),
    "compose": split_and,
    "networks": extract_networks,
    "comments": strip_comments,
    "count": lambda text: count_tokens(text, letters, SpecialTokens(), CountOptions(steps=3)),
}


@settings(max_examples=300, deadline=None)
@given(st.one_of(grammar, st.text()), st.integers(0, 12), st.none() | st.integers(1, 9))
def test_no_text_raises(text: str, steps: int, hires_steps: int | None) -> None:
    rest, _ = extract_networks(strip_comments(text))
    for part in split_and(rest):
        schedule = parse_schedule(part.text, steps, hires_steps, old=steps % 2 == 0)
        ends = [scheduled.end_step for scheduled in schedule]
        assert ends == sorted(set(ends)) and ends[-1] == (hires_steps or steps)
        for scheduled in schedule:
            parts = parse_attention(scheduled.text)
            assert parts
            chunks = chunk_tokens(parts, letters, SpecialTokens(), chunk_length=5, backtrack=3)
            assert chunks and all(len(chunk.tokens) == len(chunk.weights) == 7 for chunk in chunks)


@settings(max_examples=200, deadline=None)
@given(grammar)
def test_text_without_brackets_survives_reading(text: str) -> None:
    plain = "".join(letter for letter in text if letter not in "()[]:|\\<>#")
    assert extract_networks(plain) == (plain, ())
    assert [part.text for part in parse_schedule(plain, 5)] == [plain]
    if "BREAK" not in plain:
        assert [part.text for part in parse_attention(plain)] == [plain]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("unit", UNITS)
def test_long_text_takes_linear_time(unit: str, reader: str) -> None:
    text = (unit * LENGTH)[:LENGTH]
    start = time.process_time()
    READERS[reader](text)
    assert time.process_time() - start < LIMIT_S


def test_deep_nesting_takes_linear_time() -> None:
    depth = LENGTH // 4
    start = time.process_time()
    for text in (
        "(a" * depth + ")" * depth,
        "[" * depth + ":1]" * depth,
        "[a|" * depth + "]" * depth,
    ):
        for reader in READERS.values():
            reader(text)
    assert time.process_time() - start < LIMIT_S
