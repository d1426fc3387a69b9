"""A model in the layout of diffusers from the hub to the disk: file after file, in a folder aside.

What is whole stays from one try to the next and is recognised by its checksum. The caller moves
the folder to its place when all of it is there. Knows files and headers, not where models lie.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modules.core.errors import DownloadFailed, Interrupted, ModelError, OutOfSpace
from modules.downloads.kinds import SAFE
from modules.downloads.source import File, Folder, Source
from modules.downloads.transfer import Order, Report, Transfer, discard, note_of
from modules.model_manager.folder_files import pickled_parts
from modules.model_manager.tensor_header import open_sharded, open_tensors

_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FolderTransfer:
    """One folder that is being fetched into `staging`."""

    transfer: Transfer
    source: Source
    folder: Folder
    staging: Path

    def fetch(self, report: Report, is_cancelled: Callable[[], bool]) -> None:
        """Fetch what is not there yet, the small files first; `report` counts all files' bytes.

        Raises whatever `Transfer.fetch` does, and ModelError for what is no model. Whole files and
        begun ones are kept for the next try, except those that are wrong.
        """
        total = self.folder.size
        self._remove_strays()
        files = sorted(self.folder.files, key=lambda file: file.size or 0)
        missing, done = [], 0
        for file in files:
            _go_on(is_cancelled)
            if _is_whole(self.staging / file.saved_as, file):
                done += file.size or 0
                report(done, total)
            else:
                missing.append(file)
        self._check_room(missing)
        for file in missing:
            _go_on(is_cancelled)
            before = done

            def count(now: int, _: int | None, before: int = before) -> None:
                report(before + now, total)

            done += self._fetch_file(file, count, is_cancelled)
        report(done, total)
        _check(self.staging, self.folder)

    def _fetch_file(self, file: File, report: Report, is_cancelled: Callable[[], bool]) -> int:
        """Fetch one file under its name; returns its bytes."""
        path = self.staging / file.saved_as
        part = _part(path)
        order = Order(
            file.url, part, file.size, file.sha256, self.source.headers, self.source.own_server
        )
        self.transfer.fetch(order, report, is_cancelled)
        if file.blob_id and _blob_id(part) != file.blob_id:
            discard(part)
            raise DownloadFailed(file.name, "its checksum is wrong; the file was thrown away")
        part.replace(path)
        discard(part)  # the note beside it
        return path.stat().st_size

    def _remove_strays(self) -> None:
        """What another revision left must not come along."""
        ours = {self.staging / file.saved_as for file in self.folder.files}
        kept = {own for path in ours for own in (path, _part(path), note_of(_part(path)))}
        for path in self.staging.rglob("*"):
            if path.is_file() and path not in kept:
                path.unlink()

    def _check_room(self, missing: list[File]) -> None:
        """Refuse before anything is fetched; what came earlier is kept."""
        begun = sum(_size(_part(self.staging / file.saved_as)) for file in missing)
        needed = sum(file.size or 0 for file in missing) - begun
        self.staging.mkdir(parents=True, exist_ok=True)
        lacking = self.transfer.lacking_bytes(self.staging, needed)
        if missing and lacking > 0:
            raise OutOfSpace(
                f"The disk of {self.staging.parent} is full: {self.folder.saved_as} does not fit. "
                f"{lacking / 1e9:.1f} GB more must be free; what came until now is kept."
            )


def _go_on(is_cancelled: Callable[[], bool]) -> None:
    if is_cancelled():
        raise Interrupted("The download was stopped; it can be taken up again.")


def discard_folder(staging: Path) -> None:
    """Remove what has come of a folder."""
    shutil.rmtree(staging, ignore_errors=True)


def _is_whole(path: Path, file: File) -> bool:
    """Whether an earlier try brought this very file; only a checksum tells."""
    if not file.has_checksum or not path.is_file() or path.stat().st_size != file.size:
        return False
    return _sha256(path) == file.sha256 if file.sha256 else _blob_id(path) == file.blob_id


def _check(staging: Path, folder: Folder) -> None:
    """Raises ModelError, and throws the folder away, where a file is not what its name says."""
    try:
        for file in folder.files:
            _check_file(staging / file.saved_as)
    except ModelError:
        discard_folder(staging)
        raise


def _check_file(path: Path) -> None:
    if path.name.endswith(SAFE):
        open_tensors(path)
    elif ".safetensors.index." in path.name:
        open_sharded(path)
    elif ".bin.index." in path.name:
        pickled_parts(path)
    elif path.suffix == ".json":
        try:
            json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(path, f"cannot be read ({error}).") from error


def _blob_id(path: Path) -> str:
    """Git's name for a file's content: the SHA-1 of `blob <size>`, a zero byte and the content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    return _digest(path, digest)


def _sha256(path: Path) -> str:
    return _digest(path, hashlib.sha256())


def _digest(path: Path, digest: Any) -> str:
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return str(digest.hexdigest())


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
