"""Styles, against golden cases and cases of our own."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.core.errors import BadInput, NotFound
from modules.params import styles
from modules.params.styles import Style, StyleDatabase, apply_style, extract_style

GOLDEN = json.loads((Path(__file__).parent.parent / "data/golden/infotext.json").read_text("utf-8"))
HEADER = "name,prompt,negative_prompt\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "styles.csv"


def database(path: Path, text: str) -> StyleDatabase:
    path.write_text(text, "utf-8")
    return StyleDatabase([path])


@pytest.mark.parametrize("case", GOLDEN["styles"], ids=lambda case: str(case["styles"]))
def test_styles_are_as_golden(case: dict, path: Path) -> None:
    known = database(path, case["csv"])
    applied = known.apply(case["prompt"], case["negative"], case["styles"])
    assert list(applied) == case["expected"]
    assert list(known.extract(*applied)) == case["extracted"]


def test_examples_hold() -> None:
    result = doctest.testmod(styles)
    assert result.attempted > 0
    assert result.failed == 0


def test_file_with_bom_quotes_and_line_breaks_is_read(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + (HEADER + 'a,"x, ""y""\nz",\r\n\r\n,no name,\n').encode())
    assert list(StyleDatabase([path]).styles.values()) == [Style("a", 'x, "y"\nz', "", path)]


def test_first_programs_text_column_is_the_prompt(path: Path) -> None:
    known = database(path, "name,text\na,x\n")
    assert known.get("a").prompt == "x"
    known.save(Style("a", "y", "n"))
    assert path.read_text("utf-8-sig") == "name,text,negative_prompt\na,y,n\n"


def test_unknown_style_is_named_with_the_nearest(path: Path) -> None:
    with pytest.raises(NotFound, match="did you mean 'cinematic'"):
        database(path, HEADER + "cinematic,x,\n").get("cinematik")


def test_missing_file_is_empty_and_saving_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "styles.csv"
    known = StyleDatabase([path])
    assert known.styles == {}
    assert known.save(Style("ä", "x, y", "z")) == Style("ä", "x, y", "z", path)
    assert path.read_bytes() == b"\xef\xbb\xbf" + (HEADER + 'ä,"x, y",z\n').encode()
    assert StyleDatabase([path]).styles == known.styles
    assert [file.name for file in path.parent.iterdir()] == ["styles.csv"]


def test_saving_keeps_order_and_foreign_columns(path: Path) -> None:
    known = database(path, "name,prompt,negative_prompt,note\na,1,,keep\nb,2,,\n")
    known.save(Style("a", "3"))
    known.save(Style("c", "4"))
    known.delete("b")
    assert path.read_text("utf-8-sig") == ("name,prompt,negative_prompt,note\na,3,,keep\nc,4,,\n")


def test_style_without_name_is_refused(path: Path) -> None:
    with pytest.raises(BadInput, match="name"):
        StyleDatabase([path]).save(Style(" ", "x"))


def test_deleting_an_unknown_style_is_refused(path: Path) -> None:
    with pytest.raises(NotFound, match="nope"):
        StyleDatabase([path]).delete("nope")


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"a,b\n1,2\n"])
def test_unreadable_file_is_a_problem_and_never_overwritten(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    known = StyleDatabase([path])
    assert (list(known.styles), list(known.problems)) == ([], [path])
    with pytest.raises(BadInput, match="cannot be read"):
        known.save(Style("a", "x"))
    assert path.read_bytes() == data


def test_failed_write_leaves_the_file_as_it_was(path: Path) -> None:
    known = database(path, HEADER + "a,1,\n")
    with pytest.raises(UnicodeEncodeError):
        known.save(Style("a", "\ud800"))
    assert path.read_text("utf-8") == HEADER + "a,1,\n"
    assert [file.name for file in path.parent.iterdir()] == ["styles.csv"]


def test_saving_keeps_the_files_mode(path: Path) -> None:
    known = database(path, HEADER)
    path.chmod(0o640)
    known.save(Style("a"))
    assert path.stat().st_mode & 0o777 == 0o640


def test_several_files_by_wildcard_have_dividers(tmp_path: Path) -> None:
    (tmp_path / "a-styles.csv").write_text(HEADER + "one,1,\ntwo,2,\n", "utf-8")
    (tmp_path / "b-styles.csv").write_text(HEADER + "two,3,\n", "utf-8")
    known = StyleDatabase([tmp_path / "*-styles.csv", tmp_path / "b-styles.csv"])
    assert known.get("two").prompt == "3"
    choices = known.choices()
    assert [choice.strip("- ") for choice in choices] == ["a-styles", "one", "b-styles", "two"]
    assert known.apply("cat", "", [choices[0]]) == ("cat", "")
    known.save(Style("two", "4"))
    assert "two,4," in (tmp_path / "b-styles.csv").read_text("utf-8-sig")
    assert known.save(Style("three")).path == tmp_path / "b-styles.csv"


def test_one_file_has_no_dividers(path: Path) -> None:
    assert database(path, HEADER + "a,1,\nb,2,\n").choices() == ["a", "b"]


def test_wildcard_alone_saves_beside_it(tmp_path: Path) -> None:
    assert StyleDatabase([tmp_path / "*.csv"]).save(Style("a")).path == tmp_path / "styles.csv"


def test_no_path_is_refused() -> None:
    with pytest.raises(BadInput, match="styles_file"):
        StyleDatabase([])


@pytest.mark.parametrize(
    ("style", "prompt", "expected"),
    [
        ("4k", "cat4k", None),
        ("4k", "4k", ""),
        ("a {prompt}", "a cat ", "cat"),
        ("{prompt} x {prompt}", "cat x cat", "cat"),
        ("{prompt} x {prompt}", "cat x dog", None),
        ("a {prompt} b", "a b", None),
        ("", "cat", "cat"),
        ("{prompt}", "cat", "cat"),
    ],
)
def test_style_is_found_only_where_it_was_applied(
    style: str, prompt: str, expected: str | None
) -> None:
    assert extract_style(style, prompt) == expected


def test_styles_without_effect_are_not_found(path: Path) -> None:
    known = database(path, HEADER + "empty,,\nsame,{prompt},{prompt}\nneg,,bad\n")
    assert known.extract("cat", "x, bad") == (["neg"], "cat", "x")


pieces = st.text("ab, {}", max_size=6) | st.just("x {prompt} y")


@given(pieces, st.text("ab, ", max_size=8))
def test_applied_style_is_found_again(style: str, prompt: str) -> None:
    applied = apply_style(style, prompt.strip())
    rest = extract_style(style, applied)
    assert rest is not None
    assert apply_style(style.strip(), rest).strip() == applied.strip()
