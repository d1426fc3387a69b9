"""Schedules, against golden cases and cases of our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modules.prompt.schedule import parse_schedule, text_at

GOLDEN = json.loads((Path(__file__).parent.parent / "data/golden/prompt.json").read_text("utf-8"))


@pytest.mark.parametrize("case", GOLDEN["schedule"], ids=lambda case: case["input"])
def test_schedule_is_as_golden(case: dict) -> None:
    parts = parse_schedule(
        case["input"], case["steps"], case["hires_steps"], case["use_old_scheduling"]
    )
    assert [[part.end_step, part.text] for part in parts] == case["expected"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[a:b:5]:c:8]", [(5, "a"), (8, "b"), (10, "c")]),
        ("[cat:3] x", [(3, " x"), (10, "cat x")]),
        ("[(a:1.2):(b):.5]", [(5, "(a:1.2)"), (10, "(b)")]),
        ("[a:[b]:2]", [(2, "a"), (10, "[b]")]),
        ("[a:b:0]", [(10, "b")]),
        ("[a:b:-1]", [(10, "b")]),
        ("[a:b:1e999]", [(10, "a")]),
        ("[a:b:\n5\t]", [(5, "a"), (10, "b")]),
        ("[5:5]", [(5, ""), (10, "5")]),
        ("x[|]y", [(step, "xy") for step in range(1, 11)]),
    ],
)
def test_schedule_is_read(text: str, expected: list[tuple[int, str]]) -> None:
    assert [(part.end_step, part.text) for part in parse_schedule(text, 10)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("([a:b:5]", [(5, "(a"), (10, "(b")]),
        ("[a:b:5]]", [(5, "a]"), (10, "b]")]),
        ("[x (y [a:b:5]", [(5, "[x (y a"), (10, "[x (y b")]),
        ("(a [b) [c:d:5]", [(5, "(a [b) c"), (10, "(a [b) d")]),
        ("a | b [c:d:5]", [(5, "a | b c"), (10, "a | b d")]),
        ("[c:d:5] \\", [(5, "c \\"), (10, "d \\")]),
    ],
)
def test_broken_brackets_are_text_and_the_rest_is_read(
    text: str, expected: list[tuple[int, str]]
) -> None:
    assert [(part.end_step, part.text) for part in parse_schedule(text, 10)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "[a:b:c:0.5]",
        "[a|b:0.5]",
        "[(a:b:1.2):c:5]",
        "[[a:b]:c:5]",
        "[(a|b):c:5]",
        r"\[a:b:5\]",
        r"[a:b\:5]",
        "[a:b:(5)]",
        "(a:b:5)",
        "[5]",
    ],
)
def test_unreadable_brackets_are_text(text: str) -> None:
    assert [(part.end_step, part.text) for part in parse_schedule(text, 10)] == [(10, text)]


@pytest.mark.parametrize(
    ("text", "old", "expected"),
    [
        ("[a:b:0.5]", False, [(10, "b")]),
        ("[a:b:1.5]", False, [(5, "a"), (10, "b")]),
        ("[a:b:2.0]", False, [(10, "a")]),
        ("[a:b:20]", False, [(10, "b")]),
        ("[a:b:23]", False, [(3, "a"), (10, "b")]),
        ("[a:b:3]", True, [(3, "a"), (10, "b")]),
    ],
)
def test_hires_pass_counts_on(text: str, old: bool, expected: list[tuple[int, str]]) -> None:
    parts = parse_schedule(text, 20, 10, old)
    assert [(part.end_step, part.text) for part in parts] == expected


def test_nesting_has_no_limit() -> None:
    depth = 20_000
    parts = parse_schedule("[" * depth + "a" + ":5]" * depth, 10)
    assert [(part.end_step, part.text) for part in parts] == [(5, ""), (10, "a")]


def test_text_at_takes_the_last_behind_the_end() -> None:
    schedule = parse_schedule("[a:b:2]", 4)
    assert [text_at(schedule, step) for step in (1, 2, 3, 4, 9)] == ["a", "a", "b", "b", "b"]
