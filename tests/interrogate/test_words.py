from __future__ import annotations

from pathlib import Path

import pytest

from modules.interrogate.words import FIRST_CATEGORY, Ranked, WordList, as_text, read_lists
from tools.embedded_model.concepts import COLOURS, CONCEPTS

SHIPPED = Path(__file__).parents[2] / "models/interrogate"


def test_lists_are_read_by_category_with_what_comes_first_first(tmp_path: Path) -> None:
    (tmp_path / "artists.txt").write_text("Ada\n\n  Bob \nAda\n", encoding="utf-8")
    (tmp_path / "flavors.top3.txt").write_text("grainy\nwarm", encoding="utf-8")
    (tmp_path / "concepts.txt").write_text("cat", encoding="utf-8")
    (tmp_path / "empty.txt").write_text("\n \n", encoding="utf-8")
    (tmp_path / "notes.md").write_text("no list", encoding="utf-8")
    assert read_lists([tmp_path]) == (
        WordList("concepts", ("cat",)),
        WordList("artists", ("Ada", "Bob")),
        WordList("flavors", ("grainy", "warm"), take=3),
    )


@pytest.mark.parametrize(("limit", "words"), [(0, 3), (2, 2), (9, 3), (-1, 3)])
def test_limit_cuts_every_list(tmp_path: Path, limit: int, words: int) -> None:
    (tmp_path / "flavors.txt").write_text("a\nb\nc", encoding="utf-8")
    assert len(read_lists([tmp_path], limit=limit)[0].words) == words


def test_categories_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "flavors.top2.txt").write_text("a", encoding="utf-8")
    (tmp_path / "artists.txt").write_text("b", encoding="utf-8")
    assert [one.category for one in read_lists([tmp_path], skip=["flavors"])] == ["artists"]


def test_users_list_hides_the_shipped_one_of_that_category(tmp_path: Path) -> None:
    (tmp_path / "styles.top2.txt").write_text("etching", encoding="utf-8")
    lists = {one.category: one for one in read_lists([tmp_path, SHIPPED])}
    assert lists["styles"] == WordList("styles", ("etching",), take=2)
    assert "cat" in lists[FIRST_CATEGORY].words


def test_missing_folder_and_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "odd.txt").write_bytes(b"caf\xe9\n\xff\xfe\nplain\n")
    (lists,) = read_lists([tmp_path / "nowhere", tmp_path])
    assert lists.words[-1] == "plain"


def test_shipped_lists_name_everything_that_the_shipped_model_knows() -> None:
    lists = {one.category: one.words for one in read_lists([SHIPPED])}
    assert set(lists["concepts"]) >= {concept.name for concept in CONCEPTS}
    assert set(lists["backgrounds"]) >= {f"{colour} background" for colour in COLOURS}


def test_shares_are_written_like_weights() -> None:
    found = [Ranked("concepts", "cat", 0.9), Ranked("styles", "flat style", 0.25)]
    assert as_text(found, with_shares=True) == "(cat:0.900), (flat style:0.250)"
