"""What is written reads as the same data again, whatever the text was."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modules.prompt.attention import Weighted, parse_attention
from modules.prompt.compose import Part, split_and
from modules.prompt.schedule import parse_schedule
from modules.prompt.write import write_and, write_attention, write_schedule

PIECES = ["(", ")", "[", "]", ":", "|", "\\", " ", "\n", ",", "a", "b", "1.5", "-2", "0.5", "3"]
PIECES += ["BREAK", " BREAK ", "AND", " AND ", "٣", "é", "😀", "9" * 200, "0" * 40, "_"]
grammar = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
texts = st.one_of(grammar, st.text())

Meaning = list[tuple[str, str]]


def meaning(parts: tuple[Weighted, ...]) -> Meaning:
    """(text, weight) of what has text; neighbours of one weight joined. NaN equals itself here."""
    filled = [(part.text, repr(part.weight)) for part in parts if part.text]
    groups = groupby(filled, key=lambda pair: pair[1])
    return [("".join(text for text, _ in group), weight) for weight, group in groups]


@settings(max_examples=500, deadline=None)
@given(texts)
@example("a \\BREAK\\ b")
@example("(BREAK:2)")
@example("BREAK( ")
@example("BRE\\AK")
@example("(((a:" + "9" * 300 + "):" + "9" * 300 + "):0)")
def test_emphasis_survives_writing(text: str) -> None:
    parts = parse_attention(text)
    assert meaning(parse_attention(write_attention(parts))) == meaning(parts)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1), st.floats(allow_nan=False)), max_size=8))
def test_any_texts_and_weights_can_be_written(pairs: list[tuple[str, float]]) -> None:
    parts = tuple(Weighted(text, weight) for text, weight in pairs if weight != -1)
    assert meaning(parse_attention(write_attention(parts))) == meaning(parts)


@settings(max_examples=500, deadline=None)
@given(texts, st.integers(1, 12))
@example("[a:[b|c|]:0.5] [::3]", 6)
@example("[a\\:b:(c:1.2):2]", 4)
def test_schedules_survive_writing(text: str, steps: int) -> None:
    before = [(part.end_step, parse_attention(part.text)) for part in parse_schedule(text, steps)]
    again = parse_schedule(write_schedule(before), steps)
    assert [(part.end_step, meaning(parse_attention(part.text))) for part in again] == [
        (end, meaning(parts)) for end, parts in before
    ]


@settings(max_examples=500, deadline=None)
@given(texts)
@example("a:2 AND (b:3) AND AND c : -.5")
def test_compositions_survive_writing(text: str) -> None:
    parts = split_and(text)
    assert split_and(write_and(parts)) == parts


@settings(max_examples=300, deadline=None)
@given(texts, st.integers(1, 12))
@example(" (", 1)
@example("AND\\a", 1)
def test_whole_prompts_survive_writing(text: str, steps: int) -> None:
    def read(prompt: str) -> list[tuple[float, list[tuple[int, Meaning]]]]:
        return [
            (part.weight, [(one.end_step, meaning(parse_attention(one.text)))
                           for one in parse_schedule(part.text, steps)])
            for part in split_and(prompt)
        ]  # fmt: skip

    def write(prompt: str) -> str:
        return write_and(
            Part(
                write_schedule(
                    [(one.end_step, parse_attention(one.text))
                     for one in parse_schedule(part.text, steps)]
                ),
                part.weight,
            )
            for part in split_and(prompt)
        )  # fmt: skip

    assert read(write(text)) == read(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a (b:1.5) c", "a (b:1.5) c"),
        ("a ((b)) c", "a (b:1.2100000000000002) c"),
        ("a BREAK b", "a BREAK b"),
        ("a \\(b\\)", "a \\(b\\)"),
    ],
)
def test_plain_prompts_stay_readable(text: str, written: str) -> None:
    assert write_attention(parse_attention(text)) == written
