"""The values of an axis, read from text."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.core.errors import BadInput
from tests.extensions import plot_job

assert plot_job.EXTENSION.is_dir()
from easel_plots import values as xyz  # noqa: E402

READERS = (xyz.read_whole, xyz.read_real, xyz.read_switches, xyz.read_sizes, xyz.read_orders,
           xyz.read_texts, xyz.read_names)  # fmt: skip


@pytest.mark.parametrize("name", ["values", "axes", "apply", "order", "plot", "matrix",
                                  "prompt_lines"])  # fmt: skip
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"easel_plots.{name}"))
    assert result.attempted and not result.failed


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("4,8", [4, 8]),
        (" 3, 9 ", [3, 9]),
        ("1-5", [1, 2, 3, 4, 5]),
        ("1 - 5 (+2)", [1, 3, 5]),
        ("1-6 (+2)", [1, 3, 5]),
        ("10-5 (-3)", [10, 7]),
        ("5-1", [5, 4, 3, 2, 1]),
        ("-2-2", [-2, -1, 0, 1, 2]),
        ("1-10 [5]", [1, 3, 5, 7, 10]),
        ("3-9 [1]", [3]),
        ("-1", [-1]),
        ("1-2, 7", [1, 2, 7]),
        ("1\n2", [1, 2]),
        ("1,,2,", [1, 2]),
        ("", []),
        ('"1", 2', [1, 2]),
    ],
)
def test_whole_numbers(text: str, wanted: list[int]) -> None:
    assert xyz.read_whole("X values", text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("3, 9", [3.0, 9.0]),
        ("0.1-0.5 (+0.1)", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("1-0 (-0.25)", [1.0, 0.75, 0.5, 0.25, 0.0]),
        ("0-1 [3]", [0.0, 0.5, 1.0]),
        ("0-1 [4]", [0.0, 0.33333333, 0.66666667, 1.0]),
        ("1-3", [1.0, 2.0, 3.0]),
        (".5-1.5", [0.5, 1.5]),
        ("1e-5", [1e-05]),
        ("-0.5", [-0.5]),
    ],
)
def test_real_numbers(text: str, wanted: list[float]) -> None:
    assert xyz.read_real("X values", text) == wanted


@pytest.mark.parametrize(
    ("reader", "text", "told"),
    [
        (xyz.read_whole, "4.5", "whole numbers"),
        (xyz.read_whole, "four", "'four'.*whole numbers"),
        (xyz.read_whole, "1-5 (-1)", "step does not lead to the end"),
        (xyz.read_whole, "1-5 (+0)", "step does not lead to the end"),
        (xyz.read_whole, "1-99999999", "more than 10000 values"),
        (xyz.read_whole, "1-9999, 1-9999", "at most 10000"),
        (xyz.read_whole, "1-5 [0]", "1 to 10000"),
        (xyz.read_whole, "1-5 [99999]", "1 to 10000"),
        (xyz.read_whole, f"1-{'9' * 50}", "too long"),
        (xyz.read_whole, "9" * 5000, "whole numbers"),
        (xyz.read_real, "nan", "numbers"),
        (xyz.read_real, "1e999", "numbers"),
        (xyz.read_switches, "maybe", "True or False"),
        (xyz.read_sizes, "512", "512x768"),
        (xyz.read_orders, "a,b,c,d,e,f,g,h", "at most 7 parts"),
        (xyz.read_orders, "a,cat,a", "'a' .*only once"),
        (xyz.read_names, "a" * 200_000, "values between commas"),
    ],
)
def test_what_means_no_values_is_refused(
    reader: Callable[[str, str], Any], text: str, told: str
) -> None:
    with pytest.raises(BadInput, match=f"^X values: .*{told}"):
        reader("X values", text)


def test_quoted_values_keep_their_commas_and_empty_ones_count_in_texts() -> None:
    assert xyz.read_texts("", 'fox, "a wolf, big",, "say ""hi"""') == [
        "fox", "a wolf, big", "", 'say "hi"',
    ]  # fmt: skip
    assert xyz.read_names("", "a,,b") == ["a", "b"]


def test_orders_are_all_permutations() -> None:
    found = xyz.read_orders("", "a, b, c")
    assert len(found) == 6 and found[0] == ("a", "b", "c") and found[-1] == ("c", "b", "a")


@pytest.mark.parametrize("given", ["true", "false", "no", 0, 1, None, []])
def test_a_switch_is_true_or_false_alone(given: Any) -> None:
    assert xyz.read_switch("X", True) is True and xyz.read_switch("X", False) is False
    with pytest.raises(BadInput, match="^X: .*true or false"):
        xyz.read_switch("X", given)


def test_sizes_and_switches() -> None:
    assert xyz.read_sizes("", "512x768, 64 X 32, 8×8") == [(512, 768), (64, 32), (8, 8)]
    assert xyz.read_switches("", "True, off, 1, No") == [True, False, True, False]


NUMBERISH = st.text("0123456789-+.,()[]x ×e\"'\n", max_size=40)


@pytest.mark.parametrize("reader", READERS)
@given(text=st.one_of(st.text(max_size=60), NUMBERISH))
def test_any_text_is_read_or_refused(reader: Callable[[str, str], Any], text: str) -> None:
    try:
        values = reader("X values", text)
    except BadInput as error:
        assert error.field == "X values"
    else:
        assert len(values) <= xyz.MOST_VALUES


@given(values=st.lists(st.text(max_size=20).map(str.strip), min_size=1))
def test_joined_values_are_read_again(values: list[str]) -> None:
    kept = [value for value in values if value and not {"\r", "\n", "\0"} & set(value)]
    assert xyz.read_names("", xyz.join_values(kept)) == kept
