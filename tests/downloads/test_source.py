"""File names that are safe, and which of a source's files is meant."""

from __future__ import annotations

import pytest

from modules.core.errors import BadInput, NotFound
from modules.downloads.kinds import Kind
from modules.downloads.source import File, Folder, Source, safe_name

FILES = (File("a.safetensors", "", "a.safetensors", 3, "f"), File("b.ckpt", "", "b.ckpt"))
FOLDER = Folder("diffusers", "tale", FILES)


def source(*files: File | Folder) -> Source:
    return Source("me/tale", "me/tale", "", "", files)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a.safetensors", "a.safetensors"),
        ("/x/%2e%2e/é%20b.SafeTensors", "é b.safetensors"),
        ("..\\..\\c.safetensors", "c.safetensors"),
        ("CON.safetensors", "_CON.safetensors"),
        ("a\x00\n\u202eb.safetensors", "ab.safetensors"),
        ("x" * 300 + ".safetensors", "x" * 180 + ".safetensors"),
        ("...hidden.safetensors", "hidden.safetensors"),
    ],
)
def test_file_name_is_made_safe(given: str, name: str) -> None:
    assert safe_name(given) == name


@pytest.mark.parametrize("given", ["", "/", ".safetensors", "a", "a.exe", "a.safetensors.html"])
def test_name_that_is_no_models_is_refused(given: str) -> None:
    with pytest.raises(BadInput):
        safe_name(given)


def test_kinds_are_those_of_the_command_line() -> None:
    assert Kind("vae-approx") is Kind.APPROXIMATION


def test_folder_is_meant_where_nothing_is_chosen() -> None:
    assert source(FOLDER, *FILES).file(None) is FOLDER
    assert source(FOLDER, *FILES).file("b.ckpt") is FILES[1]
    assert source(FILES[1]).file(None) is FILES[1]
    with pytest.raises(NotFound, match="known: a.safetensors, b.ckpt"):
        source(*FILES).file(None)


def test_folder_knows_size_and_checksum_if_all_its_files_do() -> None:
    assert (FOLDER.size, FOLDER.has_checksum) == (None, False)
    whole = Folder("diffusers", "tale", (FILES[0], File("c", "", "c", 4, blob_id="e")))
    assert (whole.size, whole.has_checksum) == (7, True)
