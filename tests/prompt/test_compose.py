"""AND, against golden cases and cases of our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modules.prompt.compose import Part, split_and

GOLDEN = json.loads((Path(__file__).parent.parent / "data/golden/prompt.json").read_text("utf-8"))


@pytest.mark.parametrize("case", GOLDEN["and"], ids=lambda case: case["input"])
def test_parts_are_as_golden(case: dict) -> None:
    parts = split_and(case["input"])
    assert [[part.text, part.weight] for part in parts] == case["expected"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (Part("", 1.0),)),
        ("a:2", (Part("a", 2.0),)),
        ("a :-1.", (Part("a", -1.0),)),
        ("(a:1.2)", (Part("(a:1.2)", 1.0),)),
        ("a:1e3", (Part("a:1e3", 1.0),)),
        ("a:1.2.3", (Part("a:1.2.3", 1.0),)),
        ("a:" + "9" * 400, (Part("a:" + "9" * 400, 1.0),)),
        ("SAND ANDy", (Part("SAND ANDy", 1.0),)),
        ("AND", (Part("", 1.0), Part("", 1.0))),
    ],
)
def test_weight_is_a_number_at_the_end(text: str, expected: tuple[Part, ...]) -> None:
    assert split_and(text) == expected
