from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from modules.model_manager.hashes import Hashes, stamp_of


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"weights" * 1000)
    return path


def test_hash_is_the_files_sha256(tmp_path: Path, file: Path) -> None:
    hashes = Hashes(tmp_path / "cache" / "hashes.json")
    assert hashes.known(file, stamp_of(file)) is None
    assert hashes.request(file).result(timeout=20) == sha256(file)
    assert hashes.known(file, stamp_of(file)) == sha256(file)
    hashes.close()


def test_hash_is_remembered_between_runs(tmp_path: Path, file: Path) -> None:
    first = Hashes(tmp_path / "hashes.json")
    first.request(file).result(timeout=20)
    first.close()
    again = Hashes(tmp_path / "hashes.json", enabled=False)
    assert again.known(file, stamp_of(file)) == sha256(file)
    assert [path.name for path in tmp_path.glob("hashes*")] == ["hashes.json"]


def test_changed_file_is_hashed_again(tmp_path: Path, file: Path) -> None:
    hashes = Hashes(tmp_path / "hashes.json")
    before = hashes.request(file).result(timeout=20)
    file.write_bytes(b"other")
    assert hashes.known(file, stamp_of(file)) is None
    after = hashes.request(file).result(timeout=20)
    hashes.close()
    assert after == sha256(file) != before


def test_nothing_is_hashed_when_off(tmp_path: Path, file: Path) -> None:
    assert Hashes(tmp_path / "hashes.json", enabled=False).request(file).result(timeout=0) is None
    assert not (tmp_path / "hashes.json").exists()


def test_folder_and_missing_file_have_no_hash(tmp_path: Path) -> None:
    hashes = Hashes(tmp_path / "hashes.json")
    assert hashes.request(tmp_path).result(timeout=0) is None
    assert hashes.request(tmp_path / "gone").result(timeout=0) is None


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps({"/a": {"size": 1}}), "3"])
def test_damaged_cache_starts_anew(tmp_path: Path, file: Path, text: str) -> None:
    (tmp_path / "hashes.json").write_text(text)
    hashes = Hashes(tmp_path / "hashes.json")
    assert hashes.request(file).result(timeout=20) == sha256(file)
    hashes.close()


def test_close_answers_who_still_waits(tmp_path: Path, file: Path) -> None:
    hashes = Hashes(tmp_path / "hashes.json")
    futures = [hashes.request(file)]
    for number in range(20):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(b"x")
        futures.append(hashes.request(path))
    hashes.close()
    assert all(future.done() for future in futures)
