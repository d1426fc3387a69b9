"""A folder of LoRAs with and without pictures, notes and metadata."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.cards import Shelf, find_card_kind
from modules.model_manager.library import FileKind, Library

Put = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "Lora"
    made.mkdir()
    return made


@pytest.fixture
def put(folder: Path) -> Put:
    """Makes one LoRA file; `picture` is a suffix, `user` the notes, `metadata` the header's."""

    def put(
        relative: str,
        *,
        picture: str = "",
        user: dict[str, Any] | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Path:
        path = folder / f"{relative}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        row = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
        header = json.dumps({
            **({"__metadata__": metadata} if metadata else {}), "x.lora_down.weight": row
        }).encode()  # fmt: skip
        path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
        if picture:
            image = Image.new("RGB", (900, 600), "orange")
            image.save(path.with_name(path.stem + picture))
        if user is not None:
            path.with_suffix(".json").write_text(json.dumps(user), encoding="utf-8")
        return path

    return put


@pytest.fixture
def library(folder: Path) -> Library:
    return Library({FileKind.LORA: [folder], FileKind.CHECKPOINT: [folder]})


@pytest.fixture
def shelf(library: Library) -> Shelf:
    return Shelf(library)


@pytest.fixture
def lora() -> Any:
    return find_card_kind("lora")
