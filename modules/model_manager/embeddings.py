"""The textual inversion embeddings there are, and those that one model can use.

A file is opened when a prompt names it or a list describes it, and remembered until it changes.
Safe to use from any thread. Loads no torch at module level.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from modules.core.errors import ModelError
from modules.model_manager.embedding_file import (
    Embedding,
    EmbeddingInfo,
    read_embedding,
    read_info,
)
from modules.model_manager.hashes import Stamp
from modules.model_manager.library import FileCard, FileKind, Library
from modules.prompt.chunks import EmbeddingIndex, EmbeddingLookup, EmbeddingMatch, Tokenize

if TYPE_CHECKING:
    from pathlib import Path

    import torch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """One embedding for lists: what it is, or why it cannot be used."""

    name: str
    info: EmbeddingInfo | None
    reason: str
    """Why it is skipped; "" where it can be used."""


class Embeddings:
    """All embedding files, by name. The first of two files with one name counts."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._read: dict[tuple[Path, Stamp], Embedding] = {}
        self._infos: dict[tuple[Path, Stamp], EmbeddingInfo] = {}
        self._cards: tuple[FileCard, ...] = ()
        self._version = 0
        self._by_name: dict[str, FileCard] = {}
        self._indices: WeakKeyDictionary[Tokenize, EmbeddingIndex] = WeakKeyDictionary()

    def refresh(self) -> None:
        """Read the folder again."""
        self._library.refresh(FileKind.EMBEDDING)

    def state(self) -> Hashable:
        """What changes when any embedding file does, as far as the list was read again."""
        self.names()
        return self._version

    def names(self) -> Mapping[str, FileCard]:
        """The file of every name."""
        cards = self._library.files(FileKind.EMBEDDING)
        with self._lock:
            if cards is not self._cards:
                by_name: dict[str, FileCard] = {}
                for card in cards:
                    by_name.setdefault(card.name, card)
                self._cards, self._by_name = cards, by_name
                self._version += 1
                self._indices.clear()
                alive = {(card.path, card.stamp) for card in cards}
                self._read = {key: one for key, one in self._read.items() if key in alive}
                self._infos = {key: one for key, one in self._infos.items() if key in alive}
            return self._by_name

    def info(self, card: FileCard, *, allow_pickles: bool) -> EmbeddingInfo:
        """What a file holds. Raises ModelError."""
        key = (card.path, card.stamp)
        known = self._infos.get(key)
        if known is None:
            known = read_info(card.path) or self.read(card, allow_pickles=allow_pickles).info
            self._infos[key] = known
        return known

    def read(self, card: FileCard, *, allow_pickles: bool) -> Embedding:
        """The vectors of a file. Raises ModelError."""
        key = (card.path, card.stamp)
        known = self._read.get(key)
        if known is None:
            known = self._read[key] = read_embedding(card.path, allow_pickles=allow_pickles)
        return known

    def listed(self, widths: tuple[int, ...] | None, *, allow_pickles: bool) -> list[Listed]:
        """All of them, for a model whose text encoders have `widths` (None: any model)."""
        rows: list[Listed] = []
        for name, card in self.names().items():
            try:
                info = self.info(card, allow_pickles=allow_pickles)
            except ModelError as error:
                rows.append(Listed(name, None, str(error)))
                continue
            rows.append(Listed(name, info, misfit(info, widths) if widths else ""))
        return rows

    def index(self, tokenize: Tokenize) -> EmbeddingIndex:
        """All names by their token ids; it says 1 vector of each, whatever there are."""
        names = self.names()
        with self._lock:
            if tokenize not in self._indices:
                self._indices[tokenize] = EmbeddingIndex(dict.fromkeys(names, 1), tokenize)
            return self._indices[tokenize]


def misfit(info: EmbeddingInfo, widths: tuple[int, ...]) -> str:
    """Why an embedding cannot be used with text encoders of `widths`; "" where it can.

    >>> misfit(EmbeddingInfo(1, (768,)), (1024,))
    'It is 768 wide; this model takes 1024.'
    """
    if info.widths == widths:
        return ""
    have, want = (" and ".join(map(str, one)) for one in (info.widths, widths))
    return f"It is {have} wide; this model takes {want}."


class FittingEmbeddings:
    """Those that one model can use: its `EmbeddingSource`, and the token counter's.

    `widths` are those of its text encoders; None: unknown yet, so all fit. `bundled`
    come with LoRAs that it wears, vectors (n, D) for each text encoder, and go before files.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        widths: tuple[int, ...] | None,
        *,
        allow_pickles: bool,
        bundled: Mapping[str, tuple[torch.Tensor, ...]] | None = None,
    ) -> None:
        self._embeddings = embeddings
        self._widths = widths
        self._allow_pickles = allow_pickles
        self.bundled = {
            name: vectors
            for name, vectors in (bundled or {}).items()
            if widths is None or tuple(one.shape[-1] for one in vectors) == widths
        }
        self.skipped: dict[str, str] = {}
        """Names that prompts used and that do not fit, with the reason."""

    def lookup(self, tokenize: Tokenize) -> EmbeddingLookup:
        """See `EmbeddingSource`."""
        return _Lookup(self, tokenize, self._embeddings.index(tokenize))

    def vectors(self, name: str, encoder: int) -> torch.Tensor:
        """See `EmbeddingSource`."""
        if name in self.bundled:
            return self.bundled[name][encoder]
        card = self._embeddings.names()[name]
        return self._embeddings.read(card, allow_pickles=self._allow_pickles).vectors[encoder]

    def card(self, name: str) -> FileCard | None:
        """The file of a name; None for a bundled one."""
        return None if name in self.bundled else self._embeddings.names().get(name)

    def count(self, name: str) -> int | None:
        """Vectors of an embedding; None, and a word in `skipped`, where it cannot be used."""
        card = self._embeddings.names().get(name)
        if card is None:
            return None
        try:
            info = self._embeddings.info(card, allow_pickles=self._allow_pickles)
        except ModelError as error:
            self.skipped[name] = str(error)
            return None
        reason = misfit(info, self._widths) if self._widths else ""
        if reason:
            self.skipped[name] = reason
            return None
        return info.vectors


class _Lookup:
    """The longest name of a file or a bundled embedding that can be used."""

    def __init__(self, fitting: FittingEmbeddings, tokenize: Tokenize, files: EmbeddingIndex):
        self._fitting = fitting
        self._files = files
        counts = {name: vectors[0].shape[0] for name, vectors in fitting.bundled.items()}
        self._bundled = EmbeddingIndex(counts, tokenize)

    def find(self, tokens: Sequence[int], position: int) -> EmbeddingMatch | None:
        """See `EmbeddingLookup`."""
        bundled = self._bundled.find(tokens, position)
        for match in self._files.matches(tokens, position):
            if bundled is not None and bundled.consumed >= match.consumed:
                break
            count = self._fitting.count(match.name)
            if count is not None:
                return EmbeddingMatch(match.name, count, match.consumed)
        return bundled
