"""Textual inversion as the text encoders see it: names in prompts, vectors in their place."""

from __future__ import annotations

from typing import Protocol

import torch

from modules.prompt.chunks import EmbeddingLookup, Tokenize


class EmbeddingSource(Protocol):
    """Embeddings that a model's prompts may name."""

    def lookup(self, tokenize: Tokenize) -> EmbeddingLookup:
        """Finds their names in what `tokenize` makes of a prompt."""
        ...

    def vectors(self, name: str, encoder: int) -> torch.Tensor:
        """Vectors (n, D) for text encoder number `encoder` of a name that was found."""
        ...
