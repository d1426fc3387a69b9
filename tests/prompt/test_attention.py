"""Emphasis, against golden cases and our own rules for broken input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modules.prompt.attention import MAX_DEPTH, Weighted, parse_attention, uses_emphasis

GOLDEN = json.loads((Path(__file__).parent.parent / "data/golden/prompt.json").read_text("utf-8"))


@pytest.mark.parametrize("case", GOLDEN["attention"], ids=lambda case: case["input"])
def test_attention_is_as_golden(case: dict) -> None:
    parts = parse_attention(case["input"])
    assert [[part.text, part.weight] for part in parts] == case["expected"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\(a\) \[b\] \\", [(r"(a) [b] " + "\\", 1.0)]),
        (r"a\:b", [("a:b", 1.0)]),
        ("((a", [("a", 1.1 * 1.1)]),
        ("[a", [("a", 1 / 1.1)]),
        ("a) b]", [("a) b]", 1.0)]),
        ("(a [b) c]", [("a ", 1.1), ("b", 1.1 * (1 / 1.1)), (" c", 1 / 1.1)]),
        ("(a BREAK b:1.3)", [("a", 1.3), ("BREAK", -1.3), ("b", 1.3)]),
        ("a\n BREAK\tBREAK b", [("a", 1), ("BREAK", -1), ("", 1), ("BREAK", -1), ("b", 1)]),
        ("BREAKFAST", [("BREAKFAST", 1.0)]),
    ],
)
def test_brackets_escapes_and_breaks(text: str, expected: list[tuple[str, float]]) -> None:
    assert [(part.text, part.weight) for part in parse_attention(text)] == expected


@pytest.mark.parametrize("number", ["1..2", ".", "+.", "9" * 400])
def test_weight_that_is_no_finite_number_is_text(number: str) -> None:
    assert parse_attention(f"(a:{number})") == (Weighted(f"a:{number}", 1.1),)


def test_only_a_break_outside_of_groups_breaks() -> None:
    assert [part.is_break for part in parse_attention("a BREAK (b BREAK c:2)")] == [
        False, True, False, False, False, False,
    ]  # fmt: skip


def test_emphasis_none_keeps_brackets_and_breaks_as_text() -> None:
    assert parse_attention("(a:1.2) BREAK", "None") == (Weighted("(a:1.2) BREAK", 1.0),)


def test_brackets_beyond_the_depth_limit_are_text() -> None:
    (part,) = parse_attention("(" * (MAX_DEPTH + 2) + "a")
    assert part.text == "((a"


@pytest.mark.parametrize(
    ("text", "expected"), [("a", False), ("a BREAK b", False), ("[a]", True), (r"\(a\)", False)]
)
def test_uses_emphasis(text: str, expected: bool) -> None:
    assert uses_emphasis(text) is expected
