from __future__ import annotations

from pathlib import Path

import pytest

from modules.core.errors import NotFound
from modules.model_manager.vae import VaeCatalogue


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "checkpoints/a.safetensors",
        "checkpoints/a.vae.safetensors",
        "checkpoints/b.safetensors",
        "vae/b.safetensors",
        "vae/sub/other.safetensors",
        "vae/readme.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


@pytest.fixture
def vaes(root: Path) -> VaeCatalogue:
    return VaeCatalogue([root / "vae"], [root / "checkpoints"], None)


def test_files_are_listed_by_name(vaes: VaeCatalogue) -> None:
    assert list(vaes.files()) == ["a.vae.safetensors", "b.safetensors", "other.safetensors"]


@pytest.mark.parametrize(
    ("name", "checkpoint", "expected"),
    [
        ("Automatic", "a.safetensors", "checkpoints/a.vae.safetensors"),
        ("", "a.safetensors", "checkpoints/a.vae.safetensors"),
        ("Automatic", "b.safetensors", "vae/b.safetensors"),
        ("Automatic", "c.safetensors", None),
        ("None", "a.safetensors", None),
        ("other.safetensors", "a.safetensors", "vae/sub/other.safetensors"),
        ("other", "a.safetensors", "vae/sub/other.safetensors"),
    ],
)
def test_name_is_resolved(
    vaes: VaeCatalogue, root: Path, name: str, checkpoint: str, expected: str | None
) -> None:
    found = vaes.resolve(name, root / "checkpoints" / checkpoint)
    assert found == (None if expected is None else root / expected)


def test_unknown_name_is_not_found(vaes: VaeCatalogue, root: Path) -> None:
    with pytest.raises(NotFound, match=r"did you mean 'other\.safetensors'"):
        vaes.resolve("othr.safetensors", root / "x.safetensors")


def test_default_replaces_automatic(root: Path) -> None:
    default = root / "vae" / "sub" / "other.safetensors"
    vaes = VaeCatalogue([root / "vae"], [root / "checkpoints"], default)
    assert vaes.resolve("Automatic", root / "checkpoints" / "a.safetensors") == default
    assert vaes.resolve("None", root / "checkpoints" / "a.safetensors") is None
