"""Cards by page: filter, order, folders, and what a click puts into the prompt."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modules.cards import KINDS, Query, Shelf, find_card_kind
from modules.cards.shelf import PAGE_SIZE, Rules
from modules.core.errors import BadInput, NotFound
from modules.core.settings import known_settings

Put = Callable[..., Path]
RULES = Rules()


def names(shelf: Shelf, kind: Any, rules: Rules = RULES, **asked: Any) -> list[str]:
    return [card.name for card in shelf.page(kind, Query(**asked), rules).cards]


def test_pages_follow_one_another_without_gap(put: Put, shelf: Shelf, lora: Any) -> None:
    for number in range(PAGE_SIZE + 5):
        put(f"style{number}")
    first = shelf.page(lora, Query(), RULES)
    second = shelf.page(lora, Query(page=1), RULES)
    shown = [card.name for card in (*first.cards, *second.cards)]
    assert shown == [f"style{number}" for number in range(PAGE_SIZE + 5)]  # 2 before 10
    assert (first.total, second.number, len(second.cards)) == (PAGE_SIZE + 5, 1, 5)
    assert shelf.page(lora, Query(page=9), RULES).cards == ()


def test_search_looks_through_paths_and_notes(put: Put, shelf: Shelf, lora: Any) -> None:
    put("Ink", user={"description": "Brush on paper", "activation text": "sumi"})
    put("styles/oil")
    put("styles/ink_wash", user={"notes": "good with oil paper"})
    assert names(shelf, lora, search="ink") == ["Ink", "ink_wash"]
    assert names(shelf, lora, search="PAPER brush") == ["Ink"]
    assert names(shelf, lora, search="sumi") == ["Ink"]
    assert names(shelf, lora, search="styles oil") == ["ink_wash", "oil"]
    assert names(shelf, lora, search="nothing") == []


def test_folders_are_counted_and_narrow_the_list(put: Put, shelf: Shelf, lora: Any) -> None:
    for name in ("a", "s/b", "s/deep/c", "s/deep/d", "sx/e"):
        put(name)
    top = shelf.page(lora, Query(), RULES)
    assert [(f.path, f.name, f.count) for f in top.folders] == [("s", "s", 3), ("sx", "sx", 1)]
    inside = shelf.page(lora, Query(folder="s"), RULES)
    assert [card.key for card in inside.cards] == [
        "s/b.safetensors",
        "s/deep/c.safetensors",
        "s/deep/d.safetensors",
    ]
    assert [(f.path, f.count) for f in inside.folders] == [("s/deep", 2)]
    assert shelf.page(lora, Query(folder="../.."), RULES).cards == ()


def test_tree_holds_every_folder_before_those_in_it(put: Put, shelf: Shelf, lora: Any) -> None:
    for name in ("a", "s10/b", "s2/deep/c", "s2/deep/d", ".secret/x/e"):
        put(name)
    tree = shelf.page(lora, Query(folder="s2"), RULES).tree
    assert [(f.path, f.name, f.count) for f in tree] == [
        (".secret", ".secret", 1),
        (".secret/x", "x", 1),
        ("s2", "s2", 2),
        ("s2/deep", "deep", 2),
        ("s10", "s10", 1),
    ]
    hide = Rules(hidden_folders=False)
    assert [f.path for f in shelf.page(lora, Query(), hide).tree] == ["s2", "s2/deep", "s10"]
    assert shelf.page(lora, Query(page=1), RULES).tree == ()


def test_orders_and_direction(put: Put, shelf: Shelf, lora: Any) -> None:
    for age, name in enumerate(("z/alpha", "a/zeta", "m/mid")):
        os.utime(put(name), (1_700_000_000 - age, 1_700_000_000 - age))
    assert names(shelf, lora) == ["zeta", "mid", "alpha"]
    assert names(shelf, lora, sort="Name") == ["alpha", "mid", "zeta"]
    assert names(shelf, lora, sort="Name", descending=True) == ["zeta", "mid", "alpha"]
    assert names(shelf, lora, sort="Date Modified") == ["mid", "zeta", "alpha"]
    assert sorted(names(shelf, lora, sort="Date Created")) == ["alpha", "mid", "zeta"]
    with pytest.raises(BadInput, match="allowed: Path, Name"):
        names(shelf, lora, sort="Size")


def test_hidden_folders_follow_the_settings(put: Put, shelf: Shelf, lora: Any) -> None:
    put("seen")
    put(".secret/ink")
    hide = Rules(hidden_models="Never", hidden_folders=False)
    assert names(shelf, lora) == ["seen"]
    assert names(shelf, lora, search="ink") == ["ink"]
    assert names(shelf, lora, Rules(hidden_models="Always")) == ["ink", "seen"]
    assert names(shelf, lora, hide, search="ink") == []
    assert shelf.page(lora, Query(), hide).folders == ()
    assert [folder.name for folder in shelf.page(lora, Query(), RULES).folders] == [".secret"]


def test_tag_has_the_preferred_weight_and_the_activation_text(
    put: Put, shelf: Shelf, lora: Any
) -> None:
    put("a")
    put("b", user={"preferred weight": 0.7, "activation text": " sumi, ink ", "negative text": "x"})
    put("c", user={"preferred weight": "often", "activation text": 7, "description": None})
    cards = shelf.page(lora, Query(), Rules(multiplier=0.9)).cards
    assert [card.prompt for card in cards] == [
        "<lora:a:0.9>",
        "<lora:b:0.7> sumi, ink",
        "<lora:c:0.9>",
    ]
    assert [card.negative for card in cards] == ["", "x", ""]


def test_new_file_appears_after_a_refresh(put: Put, shelf: Shelf, lora: Any) -> None:
    put("a")
    assert names(shelf, lora) == ["a"]
    put("b")
    assert names(shelf, lora) == ["a"]
    shelf.refresh(lora)
    assert names(shelf, lora) == ["a", "b"]


def test_key_is_looked_up_and_never_a_path(put: Put, shelf: Shelf, lora: Any, folder: Path) -> None:
    put("a")
    (folder.parent / "outside.safetensors").touch()
    assert shelf.find(lora, "a.safetensors").name == "a"
    for key in (
        "../outside.safetensors",
        str(folder / "a.safetensors"),
        "./a.safetensors",
        "a",
        "",
    ):
        with pytest.raises(NotFound):
            shelf.find(lora, key)


def test_kinds_have_the_names_of_a1111() -> None:
    assert [(row.name, row.label) for row in KINDS] == [
        ("textual_inversion", "Textual Inversion"),
        ("hypernetworks", "Hypernetworks"),
        ("checkpoints", "Checkpoints"),
        ("lora", "Lora"),
    ]
    with pytest.raises(NotFound, match="did you mean 'checkpoints'"):
        find_card_kind("checkpoint")


def test_tag_calls_a_lora_by_its_makers_name_where_that_is_its_alone(
    put: Put, shelf: Shelf, lora: Any
) -> None:
    names_of = {"file": "alias", "one": "twice", "two": "twice", "odd": "a:b", "taken": "plain"}
    for file, alias in names_of.items():
        put(file, metadata={"ss_output_name": alias})
    put("plain")
    prompts = {
        is_makers: {
            card.name: card.prompt
            for card in shelf.page(lora, Query(), Rules(makers_names=is_makers)).cards
        }
        for is_makers in (True, False)
    }
    assert prompts[False] == {name: f"<lora:{name}:1>" for name in (*names_of, "plain")}
    assert prompts[True] == prompts[False] | {"file": "<lora:alias:1>"}
    assert shelf.card(lora, "file.safetensors", Rules(makers_names=True)).prompt == "<lora:alias:1>"


@pytest.mark.parametrize(("value", "is_makers"), [("Alias from file", True), ("Filename", False)])
def test_setting_decides_what_tags_call_a_lora(value: str, is_makers: bool) -> None:
    settings = known_settings() | {"lora_preferred_name": value}
    assert Rules.from_settings(settings).makers_names is is_makers
