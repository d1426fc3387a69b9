"""Lists of words, one category per text file, and words that were given a score. No torch.

A file `flavors.top3.txt` is the category "flavors", of which the best 3 are taken; without
`.topN`, the best one (A1111 1.10 behaviour). One word or phrase per line; blank lines are nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

FIRST_CATEGORY: Final = "concepts"
"""What the picture shows comes first in the text; the other categories follow by name."""

_FILE = re.compile(r"(?P<category>.+?)(?:\.top(?P<take>\d+))?\.txt", re.IGNORECASE)
_MAX_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class WordList:
    """One category: its words, each once, and how many of them a text takes."""

    category: str
    words: tuple[str, ...]
    take: int = 1


@dataclass(frozen=True, slots=True)
class Ranked:
    """A word that was found."""

    category: str
    word: str
    share: float
    """How much of the likeness of its whole list it has, 0 to 1."""


def read_lists(
    folders: Iterable[Path], *, limit: int = 0, skip: Collection[str] = ()
) -> tuple[WordList, ...]:
    """The lists of all folders; a category of an earlier folder hides that of a later one.

    limit: at most so many words of each file, 0 for all. skip: categories that are left out.
    """
    found: dict[str, WordList] = {}
    for file in (file for folder in folders for file in _files(folder)):
        parts = _FILE.fullmatch(file.name)
        if parts is None or parts["category"] in found or parts["category"] in skip:
            continue
        words = _read_words(file)
        kept = words[:limit] if limit > 0 else words
        if kept:
            take = max(1, int(parts["take"] or 1))
            found[parts["category"]] = WordList(parts["category"], tuple(kept), take)
    return tuple(sorted(found.values(), key=_order))


def as_text(found: Sequence[Ranked], *, with_shares: bool = False) -> str:
    """The words as a prompt.

    >>> as_text([Ranked("concepts", "cat", 0.91), Ranked("styles", "3d style", 0.5)])
    'cat, 3d style'
    >>> as_text([Ranked("concepts", "cat", 0.91)], with_shares=True)
    '(cat:0.910)'
    """
    if with_shares:
        return ", ".join(f"({one.word}:{one.share:.3f})" for one in found)
    return ", ".join(one.word for one in found)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".txt")


def _read_words(file: Path) -> list[str]:
    """The lines of a file, each once; nothing of one that cannot be read."""
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            text = lines.read(_MAX_BYTES)
    except OSError as error:
        log.warning("%s is left out of the words: %s", file, error)
        return []
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def _order(words: WordList) -> tuple[bool, str]:
    return words.category != FIRST_CATEGORY, words.category
