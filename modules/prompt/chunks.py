"""Weighted parts -> chunks of token ids, as long as a CLIP text encoder can read.

Knows token ids, chunk length, comma backtracking and embeddings' places. Must not know how text
becomes tokens (a callable does that) nor what an embedding's vectors are.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from modules.prompt.attention import Weighted

Tokenize = Callable[[str], list[int]]
CHUNK_LENGTH = 75
COMMA_BACKTRACK = 20
# Stands in a chunk where an embedding's vectors will be; any valid id would do.
PLACEHOLDER_TOKEN = 0


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Token ids that chunking needs; `pad` fills what follows the first `end`.

    SD1 and SDXL's CLIP-L pad with `end`; OpenCLIP (SD2, SDXL's CLIP-G) pads with 0.
    """

    start: int = 49406
    end: int = 49407
    pad: int = 49407
    comma: int = 267


@dataclass(frozen=True, slots=True)
class EmbeddingMatch:
    """An embedding found in the tokens: its name, its vectors, and the tokens it replaces."""

    name: str
    vectors: int
    consumed: int


class EmbeddingLookup(Protocol):
    """Finds embeddings by the token ids of their names."""

    def find(self, tokens: Sequence[int], position: int) -> EmbeddingMatch | None:
        """The embedding whose name starts at `position`, the longest if several do."""


@dataclass(frozen=True, slots=True)
class EmbeddingFix:
    """Put the embedding's vectors at `tokens[offset : offset + vectors]` (offset counts BOS)."""

    offset: int
    name: str
    vectors: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """One input of the text encoder.

    `tokens` and `weights` have `chunk_length + 2` entries: start, content, end, padding.
    `counted` is what the chunk adds to the token counter: its content, or the whole chunk
    length if more text or a BREAK followed.
    """

    tokens: tuple[int, ...]
    weights: tuple[float, ...]
    fixes: tuple[EmbeddingFix, ...]
    counted: int


class EmbeddingIndex:
    """Names of embeddings by their token ids; a lookup for `chunk_tokens`.

    >>> index = EmbeddingIndex({"ab": 2, "a": 1}, tokenize=lambda text: [ord(c) for c in text])
    >>> index.find([ord("a"), ord("b")], 0)
    EmbeddingMatch(name='ab', vectors=2, consumed=2)
    """

    def __init__(self, vectors: Mapping[str, int], tokenize: Tokenize) -> None:
        """Index `vectors`, a mapping from name to number of vectors."""
        self._by_first: dict[int, list[tuple[list[int], EmbeddingMatch]]] = {}
        for name, count in vectors.items():
            if tokens := tokenize(name):
                match = EmbeddingMatch(name, count, len(tokens))
                self._by_first.setdefault(tokens[0], []).append((tokens, match))
        for candidates in self._by_first.values():
            candidates.sort(key=lambda candidate: len(candidate[0]), reverse=True)

    def find(self, tokens: Sequence[int], position: int) -> EmbeddingMatch | None:
        """The embedding with the longest name whose tokens stand at `position`."""
        return next(self.matches(tokens, position), None)

    def matches(self, tokens: Sequence[int], position: int) -> Iterator[EmbeddingMatch]:
        """All whose tokens stand at `position`, the longest names first."""
        for name_tokens, match in self._by_first.get(tokens[position], ()):
            if list(tokens[position : position + match.consumed]) == name_tokens:
                yield match


def chunk_tokens(
    parts: Iterable[Weighted],
    tokenize: Tokenize,
    special: SpecialTokens,
    *,
    chunk_length: int = CHUNK_LENGTH,
    backtrack: int = COMMA_BACKTRACK,
    embeddings: EmbeddingLookup | None = None,
) -> tuple[Chunk, ...]:
    """Split the parts' tokens into chunks; at least one chunk (A1111 1.10 behaviour).

    When a chunk is full and its last comma stands at most `backtrack` tokens back, the text
    behind the comma moves to the next chunk. BREAK ends a chunk. An embedding is never split;
    one with more vectors than a chunk holds cannot be used, and its name stays text.

    >>> words = lambda text: [7 if word == "," else len(word) for word in text.split()]
    >>> chunks = chunk_tokens(
    ...     [Weighted("a , bb ccc", 1.5)], words, SpecialTokens(90, 91, 92, 7), chunk_length=3
    ... )
    >>> [chunk.tokens for chunk in chunks]
    [(90, 1, 7, 91, 92), (90, 2, 3, 91, 92)]
    >>> chunks[1].weights
    (1.0, 1.5, 1.5, 1.0, 1.0)
    """
    packer = _Packer(special, chunk_length, backtrack)
    for part in parts:
        if part.is_break:
            packer.end_chunk()
            continue
        tokens = tokenize(part.text)
        position = 0
        while position < len(tokens):
            packer.make_room(tokens[position])
            match = embeddings.find(tokens, position) if embeddings else None
            if match is None or match.vectors > chunk_length:
                packer.add_token(tokens[position], part.weight)
                position += 1
            else:
                packer.add_embedding(match, part.weight)
                position += match.consumed
    return packer.finish()


@dataclass(slots=True)
class _Packer:
    """The chunk being filled, and those already closed."""

    special: SpecialTokens
    length: int
    backtrack: int
    chunks: list[Chunk] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    fixes: list[EmbeddingFix] = field(default_factory=list)
    # Content index just behind the last comma of this chunk; 0: no comma yet.
    after_comma: int = 0

    def make_room(self, token: int) -> None:
        """Close the chunk if it is full, moving text behind a near comma into the next."""
        if len(self.tokens) < self.length:
            return
        # The comma itself counts: with backtrack 20 at most 19 tokens move.
        since_comma = len(self.tokens) - (self.after_comma - 1)
        if token == self.special.comma or not self.after_comma or since_comma > self.backtrack:
            self.end_chunk()
        else:
            self._split(self.after_comma)

    def add_token(self, token: int, weight: float) -> None:
        """Append one token; the chunk must have room."""
        self.tokens.append(token)
        self.weights.append(weight)
        if token == self.special.comma:
            self.after_comma = len(self.tokens)

    def add_embedding(self, match: EmbeddingMatch, weight: float) -> None:
        """Reserve places for all the embedding's vectors, in a new chunk if needed."""
        if len(self.tokens) + match.vectors > self.length:
            self.end_chunk()
        self.fixes.append(EmbeddingFix(len(self.tokens) + 1, match.name, match.vectors))
        self.tokens += [PLACEHOLDER_TOKEN] * match.vectors
        self.weights += [weight] * match.vectors

    def end_chunk(self) -> None:
        """Close the chunk as one that is followed by another."""
        self._close(counted=self.length)

    def finish(self) -> tuple[Chunk, ...]:
        """Close the last chunk and return all."""
        if self.tokens or not self.chunks:
            self._close(counted=len(self.tokens))
        return tuple(self.chunks)

    def _split(self, index: int) -> None:
        # Embeddings behind the comma move too; A1111 1.10 left them in the old chunk's padding.
        tokens, weights = self.tokens[index:], self.weights[index:]
        moved = [
            EmbeddingFix(fix.offset - index, fix.name, fix.vectors)
            for fix in self.fixes
            if fix.offset > index
        ]
        del self.tokens[index:], self.weights[index:]
        self.fixes = [fix for fix in self.fixes if fix.offset <= index]
        self.end_chunk()
        self.tokens, self.weights, self.fixes = tokens, weights, moved

    def _close(self, counted: int) -> None:
        room = self.length - len(self.tokens)
        tokens = (self.special.start, *self.tokens, self.special.end, *[self.special.pad] * room)
        weights = (1.0, *self.weights, 1.0, *[1.0] * room)
        self.chunks.append(Chunk(tokens, weights, tuple(self.fixes), counted))
        self.tokens, self.weights, self.fixes, self.after_comma = [], [], [], 0
