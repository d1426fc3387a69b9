"""Prompts to batches of token chunks, as one text encoder reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from modules.pipelines.base import EncodeOptions
from modules.prompt.attention import parse_attention
from modules.prompt.chunks import (
    Chunk,
    EmbeddingFix,
    EmbeddingLookup,
    SpecialTokens,
    Tokenize,
    chunk_tokens,
)


@dataclass(frozen=True, slots=True)
class ChunkBatch:
    """The n-th chunk of every text: tokens (B, 77) int64 and their weights (B, 77) float32."""

    tokens: torch.Tensor
    weights: torch.Tensor
    fixes: tuple[tuple[EmbeddingFix, ...], ...] = ()
    """Of each text, where embeddings' vectors stand for tokens; (): nowhere."""


@dataclass(frozen=True, slots=True)
class PromptChunker:
    """A tokenizer and its special tokens."""

    tokenize: Tokenize
    special: SpecialTokens

    def batches(
        self,
        texts: Sequence[str],
        options: EncodeOptions,
        embeddings: EmbeddingLookup | None = None,
    ) -> list[ChunkBatch]:
        """All texts chunk by chunk; texts with fewer chunks are filled with empty ones."""
        rows = [self.chunks(text, options, embeddings) for text in texts]
        (empty,) = chunk_tokens((), self.tokenize, self.special)
        longest = max(len(chunks) for chunks in rows)
        filled = [[*chunks, *[empty] * (longest - len(chunks))] for chunks in rows]
        return [_batch([chunks[index] for chunks in filled]) for index in range(longest)]

    def chunks(
        self, text: str, options: EncodeOptions, embeddings: EmbeddingLookup | None = None
    ) -> tuple[Chunk, ...]:
        """One text's chunks, with the places of the embeddings that it names."""
        return chunk_tokens(
            parse_attention(text, options.emphasis),
            self.tokenize,
            self.special,
            backtrack=options.comma_padding_backtrack,
            embeddings=embeddings,
        )


def _batch(chunks: Sequence[Chunk]) -> ChunkBatch:
    return ChunkBatch(
        torch.tensor([chunk.tokens for chunk in chunks], dtype=torch.int64),
        torch.tensor([chunk.weights for chunk in chunks], dtype=torch.float32),
        tuple(chunk.fixes for chunk in chunks) if any(chunk.fixes for chunk in chunks) else (),
    )
