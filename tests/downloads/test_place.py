"""Whole files and folders under their names, on this disk and on another."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.core.errors import OutOfSpace
from modules.downloads.place import move

MEMORY = Path("/dev/shm")
"""A second disk, where the system has one."""


@pytest.fixture(params=["same", "other"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "same":
        yield tmp_path / "models"
        return
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has one disk")
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    yield folder / "models"
    shutil.rmtree(folder)


def test_file_moves(tmp_path: Path, target: Path) -> None:
    part = tmp_path / "a.part"
    part.write_bytes(b"whole")
    move(part, target / "a.safetensors")
    assert (target / "a.safetensors").read_bytes() == b"whole"
    assert [path.name for path in target.iterdir()] == ["a.safetensors"]
    assert not part.exists()


def test_folder_moves(tmp_path: Path, target: Path) -> None:
    part = tmp_path / "a.part"
    (part / "unet").mkdir(parents=True)
    (part / "unet" / "config.json").write_text("{}")
    (target / "a.part").mkdir(parents=True)
    (target / "a.part" / "left.over").touch()  # by a move that was killed
    if target.stat().st_dev == part.stat().st_dev:
        shutil.rmtree(target / "a.part")
    move(part, target / "a")
    found = [str(path.relative_to(target)) for path in target.rglob("*")]
    assert sorted(found) == ["a", "a/unet", "a/unet/config.json"]
    assert not part.exists()


def test_place_that_cannot_be_written_keeps_what_came(tmp_path: Path, target: Path) -> None:
    part = tmp_path / "a.part"
    part.write_bytes(b"whole")
    (target / "a" / "inside").mkdir(parents=True)
    with pytest.raises(OutOfSpace, match=r"a cannot be written"):
        move(part, target / "a")
    assert part.read_bytes() == b"whole"
    assert [path.name for path in target.iterdir()] == ["a"]
