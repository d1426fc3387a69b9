"""The checkpoints that lie in the model folders, by A1111's titles and names.

Knows files and their names only; what is in them, `detect.py` tells when one is loaded.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modules.core.errors import ModelError, NotFound
from modules.model_manager.edit_model import is_edit_model
from modules.model_manager.hashes import Hashes
from modules.model_manager.library import is_vae_name
from modules.model_manager.native_size import read_native_size
from modules.model_manager.scan import Found, found_file, natural, scan_all
from modules.model_manager.suggestion import Suggestion, suggest
from modules.model_manager.tensor_header import read_metadata

SUFFIXES = (".safetensors", ".ckpt")
"""Of files that are listed; `.ckpt` is refused on loading, with the reason."""
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

    @property
    def is_edit_model(self) -> bool:
        """Whether it is instruct-pix2pix, which has a second scale; reads the header."""
        return is_edit_model(self.path)

    @property
    def suggestion(self) -> Suggestion | None:
        """What suits it where it is a distilled model; reads the header."""
        metadata: dict[str, str] = {}
        if self.path.suffix.lower() == ".safetensors":
            with suppress(ModelError):
                metadata = read_metadata(self.path)
        return suggest(self.name, metadata)


@dataclass(frozen=True, slots=True)
class _Listing:
    """One state of the catalogue."""

    found: tuple[Found, ...]
    version: int
    """Of the hashes."""
    checkpoints: tuple[Checkpoint, ...]
    by_name: Mapping[str, Checkpoint]


class Catalogue:
    """A list of checkpoints, read from the disk on `refresh()`. Safe to use from any thread."""

    def __init__(self, folders: Sequence[Path], hashes: Hashes, *files: Path) -> None:
        """List what lies under `folders`, and `files` beside them (`--ckpt`)."""
        self._folders = tuple(folders)
        self._files = files
        self._hashes = hashes
        self._lock = threading.Lock()
        self._found: tuple[Found, ...] = ()
        self._last: _Listing | None = None
        self.refresh()

    @property
    def hashes(self) -> Hashes:
        """Of the files that it lists, and of others."""
        return self._hashes

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where it looks."""
        return self._folders

    def refresh(self) -> None:
        """Read the folders again."""
        found = [
            one
            for one in scan_all(self._folders, SUFFIXES, folders=True)
            if not is_vae_name(one.path.name) and not f"/{one.relative}".count("/.")
        ]
        known = {one.path for one in found}
        found += [found_file(one) for one in self._files if one.is_file() and one not in known]
        ordered = sorted(found, key=lambda one: natural(one.relative))
        with self._lock:
            self._found = tuple(ordered)

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """All checkpoints in natural order of their names, with the hashes known by now."""
        return self._listing().checkpoints

    def find(self, name: str) -> Checkpoint:
        """The checkpoint that `name` means: its title, a name of it, its hash, or part of a title.

        Raises NotFound with the nearest names.
        """
        listing = self._listing()
        all_of_them = listing.checkpoints
        wanted = name.strip()
        bare = re.sub(r"\s*\[[0-9a-fA-F]+\]$", "", wanted)
        for words in (wanted, bare):
            if words in listing.by_name:
                return listing.by_name[words]
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

    def _listing(self) -> _Listing:
        """The list of now; made anew only where files or hashes are new."""
        version = self._hashes.version
        with self._lock:
            found, listing = self._found, self._last
        if listing is not None and listing.found is found and listing.version == version:
            return listing
        checkpoints = tuple(self._checkpoint(one) for one in found)
        by_name: dict[str, Checkpoint] = {}
        for checkpoint in checkpoints:
            for name in _names(checkpoint):
                by_name.setdefault(name, checkpoint)
        listing = _Listing(found, version, checkpoints, by_name)
        with self._lock:
            self._last = listing
        return listing

    def _checkpoint(self, found: Found) -> Checkpoint:
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


def _names(checkpoint: Checkpoint) -> list[str]:
    relative = re.sub(r" \[[0-9a-f]+\]$", "", checkpoint.title)
    names = (
        checkpoint.title,
        relative,
        checkpoint.model_name,
        checkpoint.name,
        checkpoint.path.name,
        str(checkpoint.path),
        checkpoint.hash,
        checkpoint.sha256,
    )
    return [name for name in names if name]


def _ending(relative: str) -> str:
    suffix = Path(relative).suffix
    return suffix if suffix.lower() in SUFFIXES else ""
