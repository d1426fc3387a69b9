"""Names that nobody else takes: numbered files in a folder, for many threads and programs.

A name is claimed by creating `.<name>.part` exclusively; the picture is written there and
then renamed, so a reader never sees half a file and two writers never share a number.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

_PART: Final = ".part"


@dataclass(frozen=True, slots=True)
class Claim:
    """A reserved name: write to `part`, and it becomes `path` when the claim ends well."""

    path: Path
    part: Path


def next_number(folder: Path, basename: str = "") -> int:
    """One more than the highest number in `folder`, 0 in an empty one (A1111's numbering)."""
    return max(_numbers(folder, basename), default=-1) + 1


@contextmanager
def claim_number(folder: Path, rest: str, *, basename: str = "") -> Iterator[Claim]:
    """Claim the next free number: `00007<rest>`, or `<basename>-0007<rest>`.

    rest: what follows the number, extension included. The file appears when the block ends;
    when it raises, nothing is left behind.
    """
    number = next_number(folder, basename)
    while True:
        label = f"{basename}-{number:04}" if basename else f"{number:05}"
        part = folder / f".{label}{_PART}"
        if _create(part):
            # Someone may have finished this number between our look and our claim.
            if number not in _finished(folder, basename):
                break
            part.unlink()
        number = max(next_number(folder, basename), number + 1)
    with _committed(Claim(folder / f"{label}{rest}", part)) as claim:
        yield claim


@contextmanager
def claim_name(folder: Path, stem: str, extension: str, *, replace: bool) -> Iterator[Claim]:
    """Claim `<stem>.<extension>`; if it exists, replace it or take `<stem>-1`, `<stem>-2`, …"""
    for attempt in count():
        suffix = f"-{attempt}" if attempt and not replace else ""
        path = folder / f"{stem}{suffix}.{extension}"
        part = folder / f".{path.name}{f'.{attempt}' if replace else ''}{_PART}"
        if not _create(part):
            continue
        if replace or not path.exists():
            break
        part.unlink()
    with _committed(Claim(path, part)) as claim:
        yield claim


@contextmanager
def _committed(claim: Claim) -> Iterator[Claim]:
    try:
        yield claim
        claim.part.replace(claim.path)
    except BaseException:
        with suppress(OSError):
            claim.part.unlink()
        raise


def _create(path: Path) -> bool:
    """Create an empty file; False if there is one already."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    return True


def _numbers(folder: Path, basename: str) -> Iterator[int]:
    """The numbers of finished and claimed files."""
    yield from _matching(folder, rf"\.?{_numbered(basename)}")


def _finished(folder: Path, basename: str) -> set[int]:
    return set(_matching(folder, _numbered(basename)))


def _matching(folder: Path, pattern: str) -> Iterator[int]:
    find = re.compile(pattern).match
    with os.scandir(folder) as entries:
        for entry in entries:
            if (match := find(entry.name)) and entry.is_file():
                yield int(match[1])


def _numbered(basename: str) -> str:
    """Our numbers have 5 (4) to 7 digits; longer ones are somebody's seed or time stamp."""
    return rf"{re.escape(basename)}-(\d{{4,7}})(?=[-.])" if basename else r"(\d{5,7})(?=[-.])"
