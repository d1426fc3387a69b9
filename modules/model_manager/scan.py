"""Walking the model folders: files of wanted kinds, and what lies beside them under their names.

One pass over each folder; knows names, sizes and times, and opens nothing. Loads no torch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.model_manager.hashes import Stamp

FOLDER_MARK: Final = "model_index.json"
"""File that makes a folder a diffusers model."""

UNFINISHED: Final = ".part"
"""Ending of folders and files that are still being written."""

PREVIEW_ENDINGS: Final = tuple(
    f"{middle}.{ending}"
    for middle in (".preview", "")
    for ending in ("png", "jpg", "jpeg", "webp", "avif", "gif")
)
"""Of pictures that show a model, the preferred ones first (A1111 1.10's names)."""


@dataclass(frozen=True, slots=True)
class Found:
    """One model file or diffusers folder."""

    path: Path
    relative: str
    """Path below the scanned folder, with `/`."""
    stamp: Stamp
    """Of a diffusers folder: its `model_index.json`'s."""
    preview: Path | None
    """Picture beside it, `name.preview.png`, `name.png`, …"""
    user_metadata: Path | None
    """What the user wrote of it, `name.json`."""
    config: Path | None
    """The LDM `name.yaml` beside it."""


def scan(root: Path, endings: Collection[str], *, folders: bool = False) -> Iterator[Found]:
    """Files below `root` with one of `endings` (lower case, dot included).

    With `folders`, diffusers folders too. Links are followed, circles are not; files whose names
    begin with a dot are left out, and so are folders that are unfinished or cannot be read.
    """
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
        names = frozenset(entry.name for entry in entries)
        for entry in entries:
            below = f"{relative}/{entry.name}" if relative else entry.name
            if entry.is_dir():
                if entry.name.endswith(UNFINISHED):
                    continue
                mark = os.path.join(entry.path, FOLDER_MARK)  # noqa: PTH118  # for speed
                if folders and os.path.isfile(mark):  # noqa: PTH113
                    yield _found(folder, entry.name, entry.name, below, names, os.stat(mark))  # noqa: PTH116
                else:
                    waiting.append(below)
                continue
            stem, ending = os.path.splitext(entry.name)  # noqa: PTH122
            if ending.lower() in endings and not entry.name.startswith("."):
                try:
                    stat = entry.stat()
                except OSError:  # a link to nothing
                    continue
                yield _found(folder, entry.name, stem, below, names, stat)


def scan_all(
    roots: Iterable[Path], endings: Collection[str], *, folders: bool = False
) -> list[Found]:
    """What lies below all `roots`, each path once, in natural order of the relative paths."""
    seen: dict[Path, Found] = {}
    for root in roots:
        for found in scan(root, endings, folders=folders):
            seen.setdefault(found.path, found)
    return sorted(seen.values(), key=lambda found: natural(found.relative))


def found_file(path: Path) -> Found:
    """A single file as `scan` would find it. Raises OSError where it is gone."""
    names = frozenset(entry.name for entry in path.parent.iterdir())
    return _found(path.parent, path.name, path.stem, path.name, names, path.stat())


def natural(text: str) -> list[tuple[int, int, str]]:
    """Sort key under which v2 comes before v10.

    >>> sorted(["v10", "v2"], key=natural)
    ['v2', 'v10']
    """
    pieces = re.findall(r"\d+|\D+", text.lower())
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces]


def _found(
    folder: Path, name: str, stem: str, relative: str, names: frozenset[str], stat: os.stat_result
) -> Found:
    def beside(*endings: str) -> Path | None:
        return next((folder / (stem + end) for end in endings if stem + end in names), None)

    return Found(
        path=folder / name,
        relative=relative,
        stamp=Stamp(stat.st_size, stat.st_mtime_ns),
        preview=beside(*PREVIEW_ENDINGS),
        user_metadata=beside(".json"),
        config=beside(".yaml"),
    )
