"""The infotext's text form, against golden cases and cases of our own."""

from __future__ import annotations

import doctest
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.params import infotext_text
from modules.params.infotext_text import DEFAULTS, parse, parse_version, quote, unquote, write

GOLDEN = json.loads((Path(__file__).parent.parent / "data/golden/infotext.json").read_text("utf-8"))
LINE = "Steps: 20, Sampler: Euler, CFG scale: 7"


@pytest.mark.parametrize("case", GOLDEN["parse"], ids=lambda case: case["input"][:30])
def test_fields_are_as_golden(case: dict) -> None:
    fields = parse(case["input"])
    assert fields == case["expected"]
    assert {key: type(value) for key, value in fields.items()} == {
        key: type(value) for key, value in case["expected"].items()
    }


@pytest.mark.parametrize("case", GOLDEN["quote"], ids=lambda case: str(case["input"]))
def test_quoting_is_as_golden(case: dict) -> None:
    quoted = quote(case["input"])
    assert (quoted, type(quoted)) == (case["expected"], type(case["expected"]))
    assert unquote(str(quoted)) == case["roundtrip"]


def test_examples_hold() -> None:
    result = doctest.testmod(infotext_text)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("text", ["", "a cat", "a: b, c: d", "cat\nSteps: 20, Sampler: Euler"])
def test_last_line_with_few_pairs_is_prompt(text: str) -> None:
    fields = parse(text, fill_defaults=False)
    assert fields == {"Prompt": text, "Negative prompt": ""}


def test_parameters_alone_are_read() -> None:
    fields = parse(LINE, fill_defaults=False)
    assert fields["Prompt"] == ""
    assert fields["CFG scale"] == "7"


def test_keys_may_hold_dashes_and_slashes_but_not_one_letter() -> None:
    fields = parse(f"{LINE}, Hires/x-y z: 1, - ab: 2, k: 3", fill_defaults=False)
    assert (fields["Hires/x-y z"], fields["ab"]) == ("1", "2")
    assert "k" not in fields


def test_broken_quotes_stay_as_they_are() -> None:
    fields = parse(f'{LINE}, Ha: "x, Hb: "\\q", Hc: ""')
    assert (fields["Ha"], fields["Hb"], fields["Hc"]) == ('"x', '"\\q"', "")


def test_defaults_fill_only_what_is_missing() -> None:
    filled = parse(f"p\n{LINE}, RNG: NV, Masked area padding: 8")
    bare = parse(f"p\n{LINE}, RNG: NV, Masked area padding: 8", fill_defaults=False)
    assert filled == {**DEFAULTS, **bare}
    assert (filled["RNG"], filled["Masked area padding"]) == ("NV", "8")


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [("a (b)", "Original"), ("a\nNegative prompt: [b]", "Original"), ("a BREAK b", None)],
)
def test_emphasis_is_filled_for_prompts_that_use_it(prompt: str, expected: str | None) -> None:
    assert parse(f"{prompt}\n{LINE}").get("Emphasis") == expected


def test_stated_emphasis_is_kept() -> None:
    assert parse(f"(a)\n{LINE}, Emphasis: No norm")["Emphasis"] == "No norm"


@pytest.mark.parametrize(
    ("text", "version", "expected"),
    [
        ("[a:b:5]", "v1.5.2", {"Old prompt editing timelines", "Downcast alphas_cumprod"}),
        (
            "a\nNegative prompt: [b]",
            "v1.5.2",
            {"Old prompt editing timelines", "Downcast alphas_cumprod"},
        ),
        ("[a:b:5]", "v1.6.0", {"Downcast alphas_cumprod"}),
        ("a", "v1.7.0-224-gabc", {"Downcast alphas_cumprod"}),
        ("a", "v1.7.0-225-gabc", set()),
        ("a", "v1.8.0", set()),
        ("[a:b:5]", "", set()),
        ("[a:b:5]", "f0.0.17v1.5.0", set()),
    ],
)
def test_old_versions_mean_other_things(text: str, version: str, expected: set[str]) -> None:
    keys = {row.key for row in infotext_text.OLD_MEANINGS}
    fields = parse(f"{text}\n{LINE}, Version: {version}", fill_defaults=False)
    assert {key for key in keys if fields.get(key) is True} == expected
    bare = parse(f"{text}\n{LINE}, Version: {version}", has_backcompat=False)
    assert not any(bare.get(key) for key in keys)


@pytest.mark.parametrize(("version", "expected"), [("v1.7.0", True), ("v1.8.0", False)])
def test_refiner_switched_by_steps_before_1_8(version: str, expected: bool) -> None:
    fields = parse(f"a\n{LINE}, Refiner: x, Version: {version}")
    assert fields["Refiner switch by sampling steps"] is expected


@pytest.mark.parametrize("sampler", ["DDIM", "PLMS", "Euler"])
def test_conds_were_padded_otherwise_for_ddim_and_plms(sampler: str) -> None:
    fields = parse(f"a\nSteps: 1, Sampler: {sampler}, Seed: 1, Version: v1.5.0")
    assert fields.get("Pad conds v0", False) is (sampler != "Euler")


def test_version_of_other_programs_is_none() -> None:
    assert [parse_version(text) for text in ("v1.10.1", "ComfyUI", "1.6.0")] == [
        (1, 10, 1, 0),
        None,
        None,
    ]


def test_written_text_is_a1111s() -> None:
    pairs = {
        "Steps": 1,
        "Sampler": "Euler a",
        "CFG scale": 7.0,
        "VAE": None,
        "Tiling": True,
        "Hires prompt": "hr a, b",
        "Soft inpainting enabled": "Soft inpainting enabled",
    }
    assert write("a\nb", "c", pairs) == (
        "a\nb\nNegative prompt: c\nSteps: 1, Sampler: Euler a, CFG scale: 7.0, Tiling: True, "
        'Hires prompt: "hr a, b", Soft inpainting enabled'
    )
    assert write("a", "", {}) == "a"
    assert write("", "", {"Steps": 1}) == "\nSteps: 1"


lines = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20)
lines = lines.map(str.strip).filter(lambda line: not line.startswith("Negative prompt:"))
prompts = st.lists(lines, max_size=3).map("\n".join).map(str.strip)
keys = st.from_regex(r"[A-Z][a-z0-9/\-]{1,9}( [a-z]{2})?", fullmatch=True)
values = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
reserved = {*DEFAULTS, "Prompt", "Negative prompt", "Emphasis", "Hypernet", "Version"}


def is_kept(value: str) -> bool:
    """Whether the pair syntax can hold the value: no outer blanks, no look of a size."""
    return value.strip() == value and not infotext_text._SIZE.fullmatch(value)


@given(prompts, prompts, st.dictionaries(keys, values.filter(is_kept), max_size=6))
def test_written_text_reads_back(prompt: str, negative: str, extra: dict[str, str]) -> None:
    pairs = {"Steps": "20", "Sampler": "Euler a", "Seed": "1"}
    pairs |= {key: value for key, value in extra.items() if key not in reserved and key != value}
    fields = parse(write(prompt, negative, pairs), fill_defaults=False)
    assert fields == {"Prompt": prompt, "Negative prompt": negative, **pairs}


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert {"Prompt", "Negative prompt"} <= parse(text).keys()
    assert isinstance(unquote(text), str)
    assert unquote(str(quote(text))) == text


@pytest.mark.parametrize(
    "unit", ["a", " ", "a ", "ab:", "ab: ", 'ab: "', 'ab: "\\', "\n", "-", ","]
)
def test_long_text_takes_linear_time(unit: str) -> None:
    start = time.process_time()
    parse((unit * 100_000)[:100_000])
    # Quadratic time would be minutes.
    assert time.process_time() - start < 30
