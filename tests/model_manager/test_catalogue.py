from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from modules.core.errors import NotFound
from modules.model_manager.catalogue import Catalogue
from modules.model_manager.hashes import Hashes


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


@pytest.fixture
def hashes(tmp_path: Path) -> Hashes:
    return Hashes(tmp_path / "cache" / "hashes.json")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    touch(
        folder,
        "v10.safetensors",
        "v2.safetensors",
        "v2.yaml",
        "old.ckpt",
        "v2.vae.safetensors",
        "notes.txt",
        ".hidden/x.safetensors",
        "anime/Fox.safetensors",
        "folder/model_index.json",
        "folder/unet/diffusion_pytorch_model.safetensors",
    )
    return folder


def titles(catalogue: Catalogue) -> list[str]:
    return [checkpoint.title for checkpoint in catalogue.checkpoints()]


def test_files_are_listed_in_natural_order(root: Path, hashes: Hashes) -> None:
    assert titles(Catalogue([root], hashes)) == [
        "anime/Fox.safetensors",
        "folder",
        "old.ckpt",
        "v2.safetensors",
        "v10.safetensors",
    ]


def test_names_are_a1111s(root: Path, hashes: Hashes) -> None:
    fox = Catalogue([root], hashes).find("Fox")
    assert (fox.title, fox.name, fox.model_name) == ("anime/Fox.safetensors", "Fox", "anime_Fox")
    assert fox.path == root / "anime" / "Fox.safetensors"
    assert (fox.hash, fox.sha256, fox.config) == (None, None, None)
    assert Catalogue([root], hashes).find("v2").config == root / "v2.yaml"


def test_hash_enters_the_title_once_known(root: Path, hashes: Hashes) -> None:
    catalogue = Catalogue([root], hashes)
    fox = catalogue.find("Fox")
    digest = hashlib.sha256(fox.path.read_bytes()).hexdigest()
    assert catalogue.short_hash(fox.path) == digest[:10]
    found = catalogue.find(digest[:10])
    assert found.title == f"anime/Fox.safetensors [{digest[:10]}]"
    assert (found.path, found.hash, found.sha256) == (fox.path, digest[:10], digest)
    assert catalogue.find(digest) == found
    hashes.close()


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("v10.safetensors", "v10.safetensors"),
        ("v10", "v10.safetensors"),
        ("v2.safetensors [0123456789]", "v2.safetensors"),
        ("anime_Fox", "anime/Fox.safetensors"),
        ("anime/Fox.safetensors", "anime/Fox.safetensors"),
        ("Fox.safetensors", "anime/Fox.safetensors"),
        ("fox", "anime/Fox.safetensors"),
        ("  v2 ", "v2.safetensors"),
        ("v", "v2.safetensors"),
        ("folder", "folder"),
    ],
)
def test_find_takes_any_name(root: Path, hashes: Hashes, name: str, title: str) -> None:
    assert Catalogue([root], hashes).find(name).title == title


@pytest.mark.parametrize("name", ["", "nope", "[0123456789]"])
def test_unknown_name_is_not_found(root: Path, hashes: Hashes, name: str) -> None:
    with pytest.raises(NotFound, match="Unknown checkpoint"):
        Catalogue([root], hashes).find(name)


def test_unknown_name_suggests_a_near_one(root: Path, hashes: Hashes) -> None:
    with pytest.raises(NotFound, match=r"did you mean 'v10\.safetensors'"):
        Catalogue([root], hashes).find("v01.safetensor")


def test_refresh_sees_new_and_gone_files(root: Path, hashes: Hashes) -> None:
    catalogue = Catalogue([root], hashes)
    touch(root, "new.safetensors")
    (root / "old.ckpt").unlink()
    assert "old.ckpt" in titles(catalogue)
    catalogue.refresh()
    assert "new.safetensors" in titles(catalogue)
    assert "old.ckpt" not in titles(catalogue)


def test_links_are_followed_and_circles_end(root: Path, tmp_path: Path, hashes: Hashes) -> None:
    touch(tmp_path / "elsewhere", "far.safetensors")
    (root / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "circle").symlink_to(root, target_is_directory=True)
    found = titles(Catalogue([root], hashes))
    assert "link/far.safetensors" in found
    assert len(found) == 6


def test_folder_that_is_still_being_written_is_not_listed(root: Path, hashes: Hashes) -> None:
    before = titles(Catalogue([root], hashes))
    touch(root, "new.part/model_index.json", "new.part/unet/a.safetensors", "b.safetensors.part")
    assert titles(Catalogue([root], hashes)) == before


def test_folder_of_pickles_is_listed_as_any_other(tmp_path: Path, hashes: Hashes) -> None:
    touch(tmp_path, "sd/tale/unet/diffusion_pytorch_model.bin", "sd/tale/vae/x.bin")
    touch(tmp_path, "sd/tale/model_index.json")
    (tmp_path / "sd" / "tale" / "unet" / "config.json").write_text(
        '{"sample_size": 96, "in_channels": 8}'
    )
    (found,) = Catalogue([tmp_path / "sd"], hashes).checkpoints()
    assert (found.title, found.name, found.model_name) == ("tale", "tale", "tale")
    assert (found.native_size, found.is_edit_model, found.hash) == (768, True, None)
    assert found.suggestion is None


def test_several_folders_and_a_single_file(root: Path, tmp_path: Path, hashes: Hashes) -> None:
    touch(tmp_path, "second/b.safetensors", "lone/c.safetensors")
    lone = tmp_path / "lone" / "c.safetensors"
    catalogue = Catalogue([root, tmp_path / "second", tmp_path / "missing"], hashes, lone)
    assert catalogue.find("b").path == tmp_path / "second" / "b.safetensors"
    assert catalogue.find("c").path == lone


def test_empty_catalogue_says_so(tmp_path: Path, hashes: Hashes) -> None:
    with pytest.raises(NotFound, match="there are none"):
        Catalogue([tmp_path / "missing"], hashes).find("x")
