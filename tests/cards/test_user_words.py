"""Notes and pictures beside a model file: as A1111 writes them, and nothing lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.cards import Shelf, save_preview, save_user_words
from modules.core.errors import BadInput, ModelError, OutOfSpace
from modules.images import read

Put = Callable[..., Path]


def test_notes_are_written_under_a1111s_keys_and_others_stay(
    put: Put, shelf: Shelf, lora: Any
) -> None:
    path = put("a", user={"description": "old", "civitai": {"id": 7}})
    values = {
        "description": "Tinte – ink",
        "sd version": "SD1",
        "activation text": "sumi",
        "preferred weight": 0.8,
        "negative text": "",
        "notes": "two\nlines",
    }
    save_user_words(lora, shelf.find(lora, "a.safetensors"), values)
    written = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert written == {**values, "civitai": {"id": 7}}
    assert [file.name for file in path.parent.iterdir()] in (
        ["a.json", "a.safetensors"],
        ["a.safetensors", "a.json"],
    )


@pytest.mark.parametrize(
    "values",
    [
        {"other": "x"},
        {"preferred weight": "0.5"},
        {"preferred weight": -1},
        {"preferred weight": 2.1},
        {"preferred weight": True},
        {"sd version": "SD9"},
        {"notes": 5},
        {"notes": "x" * 100_001},
    ],
)
def test_notes_that_cannot_be_are_refused(
    put: Put, shelf: Shelf, lora: Any, values: dict[str, Any]
) -> None:
    path = put("a")
    with pytest.raises(BadInput):
        save_user_words(lora, shelf.find(lora, "a.safetensors"), values)
    assert not path.with_suffix(".json").exists()


@pytest.mark.parametrize("damage", ["{", "[1]", "\xff"])
def test_damaged_notes_are_not_overwritten(put: Put, shelf: Shelf, lora: Any, damage: str) -> None:
    notes = put("a").with_suffix(".json")
    notes.write_text(damage, encoding="latin-1")
    with pytest.raises(ModelError, match="move it away first"):
        save_user_words(lora, shelf.find(lora, "a.safetensors"), {"notes": "x"})
    assert notes.read_text(encoding="latin-1") == damage


def test_folder_that_cannot_be_written_says_so(put: Put, shelf: Shelf, lora: Any) -> None:
    path = put("sub/a")
    file = shelf.find(lora, "sub/a.safetensors")
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(OutOfSpace, match="cannot be written"):
        save_user_words(lora, file, {"notes": "x"})


def test_picture_becomes_the_preview_with_its_parameters(put: Put, shelf: Shelf, lora: Any) -> None:
    put("a.b", picture=".png")
    saved = save_preview(
        shelf.find(lora, "a.b.safetensors"), Image.new("RGB", (8, 8)), "a\nSteps: 1"
    )
    assert saved.name == "a.b.preview.png"
    with Image.open(saved) as image:
        assert read(image).infotext == "a\nSteps: 1"
    shelf.refresh(lora)
    assert shelf.find(lora, "a.b.safetensors").preview == saved
