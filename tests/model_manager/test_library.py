from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from modules.core.errors import ModelError, NotFound
from modules.model_manager.library import FileKind, Library, read_user_metadata, user_metadata_path
from modules.model_manager.scan import natural, scan
from modules.model_manager.tensor_header import open_tensors, read_metadata


def write_header(path: Path, header: dict[str, object], data: bytes = b"") -> Path:
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "Lora"
    write_header(folder / "style10.safetensors", {"__metadata__": {"ss_output_name": "inky"}})
    write_header(folder / "style2.safetensors", {})
    write_header(folder / "people/ann.safetensors", {"__metadata__": {"ss_x": "1"}})
    write_header(folder / ".old/gone.safetensors", {})
    (folder / "._style2.safetensors").write_bytes(b"resource fork")
    (folder / "notes.txt").write_text("no model")
    for name in ("style2.png", "style2.preview.png", "people/ann.webp"):
        (folder / name).write_bytes(b"")
    (folder / "style2.json").write_text('{"activation text": "inky"}')
    return tmp_path


@pytest.fixture
def library(root: Path) -> Library:
    return Library(
        {
            FileKind.LORA: [root / "Lora"],
            FileKind.EMBEDDING: [root / "embeddings"],
            FileKind.CHECKPOINT: [root / "a", root / "b"],
        }
    )


def test_files_come_in_natural_order_with_what_lies_beside(library: Library, root: Path) -> None:
    cards = {card.relative: card for card in library.files(FileKind.LORA)}
    assert list(cards) == [
        ".old/gone.safetensors",
        "people/ann.safetensors",
        "style2.safetensors",
        "style10.safetensors",
    ]
    style2, ann = cards["style2.safetensors"], cards["people/ann.safetensors"]
    assert (style2.name, style2.folder, style2.is_hidden) == ("style2", "", False)
    assert (ann.name, ann.folder) == ("ann", "people")
    assert cards[".old/gone.safetensors"].is_hidden
    assert style2.preview == root / "Lora/style2.preview.png"
    assert ann.preview == root / "Lora/people/ann.webp"
    assert style2.user_metadata_file == root / "Lora/style2.json"
    assert ann.user_metadata_file is None
    assert style2.stamp.size == style2.path.stat().st_size


def test_metadata_is_read_on_demand(library: Library) -> None:
    style2 = library.find(FileKind.LORA, "style2")
    style10 = library.find(FileKind.LORA, "style10.safetensors")
    assert style2.user_metadata() == {"activation text": "inky"}
    assert style10.user_metadata() == {}
    assert style10.header_metadata() == {"ss_output_name": "inky"}
    assert (style10.alias(), style2.alias()) == ("inky", "style2")


def test_damaged_files_have_no_metadata(library: Library, root: Path) -> None:
    (root / "Lora/style2.json").write_text("{")
    (root / "Lora/style2.safetensors").write_bytes(b"12")
    card = library.find(FileKind.LORA, "style2")
    assert (card.user_metadata(), card.header_metadata()) == ({}, {})


def test_new_files_are_seen_after_refresh(library: Library, root: Path) -> None:
    library.files(FileKind.LORA)
    write_header(root / "Lora/new.safetensors", {})
    with pytest.raises(NotFound, match="lora 'new'"):
        library.find(FileKind.LORA, "new")
    library.refresh(FileKind.LORA)
    assert library.find(FileKind.LORA, "new").path == root / "Lora/new.safetensors"


def test_kind_without_folder_is_empty(library: Library) -> None:
    assert library.files(FileKind.HYPERNETWORK) == ()
    assert library.folders(FileKind.LORA)[0].name == "Lora"


def test_picture_beside_an_embedding_is_its_preview(library: Library, root: Path) -> None:
    folder = root / "embeddings"
    folder.mkdir()
    for name in ("a.pt", "a.png", "a.preview.png", "b.png", "c.preview.png"):
        (folder / name).write_bytes(b"")
    assert [card.relative for card in library.files(FileKind.EMBEDDING)] == ["a.pt", "b.png"]
    assert library.find(FileKind.EMBEDDING, "a").preview == folder / "a.preview.png"


def test_several_folders_links_and_diffusers_folders(library: Library, root: Path) -> None:
    write_header(root / "a/x.safetensors", {})
    write_header(root / "a/x.vae.safetensors", {})
    (root / "a/y").mkdir()
    (root / "a/y/model_index.json").write_text("{}")
    write_header(root / "a/y/unet/u.safetensors", {})
    write_header(root / "elsewhere/z.safetensors", {})
    (root / "b").mkdir()
    (root / "b/link").symlink_to(root / "elsewhere")
    (root / "b/circle").symlink_to(root / "b")
    (root / "b/w.safetensors").symlink_to(root / "elsewhere/z.safetensors")
    (root / "b/dead.safetensors").symlink_to(root / "nowhere")
    found = [card.relative for card in library.files(FileKind.CHECKPOINT)]
    assert found == ["link/z.safetensors", "w.safetensors", "x.safetensors", "y"]
    y = library.find(FileKind.CHECKPOINT, "y")
    assert user_metadata_path(y.path) == root / "a/y.json"
    assert read_user_metadata(y.path) == {}


def test_natural_order_takes_any_name() -> None:
    assert len(sorted(["a²", "a٣", "a10", "", "9" * 250], key=natural)) == 5
    assert sorted(["a10", "a9", "A8"], key=natural) == ["A8", "a9", "a10"]


def test_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list(scan(tmp_path / "none", {".safetensors"})) == []


@pytest.mark.parametrize(
    "header",
    [
        {"__metadata__": {"a": "1"}, "w": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}},
        {"w": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}, "__metadata__": {"a": "1"}},
    ],
)
def test_metadata_is_found_wherever_it_stands(tmp_path: Path, header: dict[str, object]) -> None:
    path = write_header(tmp_path / "x.safetensors", header, b"\0\0")
    assert read_metadata(path) == {"a": "1"} == dict(open_tensors(path).metadata)


def test_metadata_of_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    path = write_header(tmp_path / "x.safetensors", {"__metadata__": {}})
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ModelError, match="not a whole safetensors"):
        read_metadata(path)
    path.write_bytes(struct.pack("<Q", 20) + b'{"__metadata__":{{{{{{{{{{')
    with pytest.raises(ModelError, match="not JSON"):
        read_metadata(path)
