"""The checkpoints that lie in the model folders, by A1111's titles and names.

Knows files and their names only; what is in them, `detect.py` tells when one is loaded.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modules.core.errors import NotFound
from modules.model_manager.hashes import Hashes, Stamp
from modules.model_manager.native_size import read_native_size

SUFFIXES = (".safetensors", ".ckpt")
"""Of files that are listed; `.ckpt` is refused on loading, with the reason."""
_VAE_ENDINGS = (".vae.safetensors", ".vae.ckpt")
FOLDER_MARK = "model_index.json"
"""File that makes a folder a diffusers model."""
SHORT_HASH = 10
"""Hex digits of a hash in titles and infotexts."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One model file or diffusers folder, as the lists show it."""

    title: str
    """`folder/name.safetensors [0123456789]`; the hash only where it is known."""
    name: str
    """File name without ending: "Model" in infotexts."""
    model_name: str
    """Like `name` but with the folders, joined by `_`: A1111's REST `model_name`."""
    path: Path
    hash: str | None
    """First ten hex digits of the SHA-256, where known."""
    sha256: str | None
    config: Path | None
    """The LDM `.yaml` beside it."""

    @property
    def native_size(self) -> int:
        """Side in pixels of the square pictures it was trained on; reads the header."""
        return read_native_size(self.path)


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    relative: str
    stamp: Stamp
    config: Path | None


class Catalogue:
    """A list of checkpoints, read from the disk on `refresh()`. Safe to use from any thread."""

    def __init__(self, folders: Sequence[Path], hashes: Hashes, *files: Path) -> None:
        """List what lies under `folders`, and `files` beside them (`--ckpt`)."""
        self._folders = tuple(folders)
        self._files = files
        self._hashes = hashes
        self._lock = threading.Lock()
        self._found: tuple[_Found, ...] = ()
        self.refresh()

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where it looks."""
        return self._folders

    def refresh(self) -> None:
        """Read the folders again."""
        seen: dict[Path, _Found] = {}
        for folder in self._folders:
            for found in _scan(folder):
                seen.setdefault(found.path, found)
        for file in self._files:
            if file.is_file():
                seen.setdefault(file, _file(file, file.name, file.stat()))
        ordered = sorted(seen.values(), key=lambda found: _natural(found.relative))
        with self._lock:
            self._found = tuple(ordered)

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """All checkpoints in natural order of their names, with the hashes known by now."""
        with self._lock:
            found = self._found
        return tuple(self._checkpoint(one) for one in found)

    def find(self, name: str) -> Checkpoint:
        """The checkpoint that `name` means: its title, a name of it, its hash, or part of a title.

        Raises NotFound with the nearest names.
        """
        all_of_them = self.checkpoints()
        wanted = name.strip()
        bare = re.sub(r"\s*\[[0-9a-fA-F]+\]$", "", wanted)
        for words in dict.fromkeys((wanted, bare)):
            for checkpoint in all_of_them:
                if words and words in _names(checkpoint):
                    return checkpoint
        lowered = bare.lower()
        near = [one for one in all_of_them if lowered and lowered in one.title.lower()]
        if near:
            return min(near, key=lambda one: len(one.title))
        raise NotFound("checkpoint", name, [one.title for one in all_of_them])

    def start_hash(self, checkpoint: Checkpoint) -> None:
        """Have the hash computed in the background, if it is not known."""
        self._hashes.request(checkpoint.path)

    def short_hash(self, path: Path) -> str | None:
        """The first ten hex digits of a model file for infotexts; waits until they are known.

        None where hashing is off, or the file is gone or a folder.
        """
        sha256 = self._hashes.request(path).result()
        return sha256[:SHORT_HASH] if sha256 else None

    def _checkpoint(self, found: _Found) -> Checkpoint:
        sha256 = self._hashes.known(found.path, found.stamp)
        short = sha256[:SHORT_HASH] if sha256 else None
        bare = found.relative.removesuffix(_ending(found.relative))
        return Checkpoint(
            title=f"{found.relative} [{short}]" if short else found.relative,
            name=bare.rsplit("/", 1)[-1],
            model_name=bare.replace("/", "_"),
            path=found.path,
            hash=short,
            sha256=sha256,
            config=found.config,
        )


def _names(checkpoint: Checkpoint) -> frozenset[str | None]:
    relative = re.sub(r" \[[0-9a-f]+\]$", "", checkpoint.title)
    return frozenset(
        (
            checkpoint.title,
            relative,
            checkpoint.model_name,
            checkpoint.name,
            checkpoint.path.name,
            str(checkpoint.path),
            checkpoint.hash,
            checkpoint.sha256,
        )
    )


def _scan(root: Path) -> Iterator[_Found]:
    """Files and diffusers folders under `root`; links are followed, circles are not."""
    visited: set[str] = set()
    waiting = [""]
    while waiting:
        relative = waiting.pop()
        folder = root / relative
        real = os.path.realpath(folder)
        if real in visited:
            continue
        visited.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        names = {entry.name for entry in entries}
        if FOLDER_MARK in names and relative:
            stat = (folder / FOLDER_MARK).stat()
            yield _Found(folder, relative, Stamp(stat.st_size, stat.st_mtime_ns), None)
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            below = f"{relative}/{entry.name}" if relative else entry.name
            if entry.is_dir():
                waiting.append(below)
            elif _is_listed(entry.name) and entry.is_file():
                yield _file(folder / entry.name, below, entry.stat())


def _file(path: Path, relative: str, stat: os.stat_result) -> _Found:
    config = path.with_suffix(".yaml")
    stamp = Stamp(stat.st_size, stat.st_mtime_ns)
    return _Found(path, relative, stamp, config if config.is_file() else None)


def _is_listed(name: str) -> bool:
    lowered = name.lower()
    return lowered.endswith(SUFFIXES) and not lowered.endswith(_VAE_ENDINGS)


def _ending(relative: str) -> str:
    suffix = Path(relative).suffix
    return suffix if suffix.lower() in SUFFIXES else ""


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Sort key under which v2 comes before v10."""
    pieces = re.findall(r"\d+|\D+", text.lower())
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in pieces]
