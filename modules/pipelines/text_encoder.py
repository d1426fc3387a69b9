"""One CLIP text encoder with its tokenizer: chunks of 77 tokens to states, emphasis applied.

Knows neither families nor files. The layers are run here one by one, because the state that a
family wants may be any of them, and those behind it need not be computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from transformers import CLIPTextModel

from modules.pipelines.chunking import PromptChunker
from modules.pipelines.spec import EncoderSpec
from modules.prompt.attention import Emphasis
from modules.prompt.chunks import EmbeddingFix

Placed = Sequence[tuple[int, EmbeddingFix]]
"""Embeddings in a batch of chunks: the row, and where in it."""


class TextEncoder(torch.nn.Module):
    """CLIPTextModel, the projection of its end-of-text state where there is one, and its row."""

    def __init__(
        self,
        model: CLIPTextModel,
        projection: torch.nn.Linear | None,
        row: EncoderSpec,
        chunker: PromptChunker,
    ) -> None:
        super().__init__()
        self.model = model
        self.projection = projection
        self.row = row
        self.chunker = chunker

    @property
    def width(self) -> int:
        """Features of one token's state."""
        return int(self.model.config.hidden_size)

    @torch.no_grad()
    def encode(
        self,
        tokens: torch.Tensor,
        clip_skip: int,
        placed: Placed = (),
        vectors: Callable[[str], torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """States (B, 77, D) of tokens (B, 77) int64, and the pooled state (B, P) or None.

        Both in float32; whether there is a pooled state, the row says. `clip_skip` 1 takes the
        state after the last layer, 2 the one before. `vectors` gives those (n, D) of each
        embedding in `placed`.
        """
        tokens = tokens.to(self.model.device)
        hidden = self._embed(tokens, placed, vectors)
        layers = self.model.encoder.layers
        wanted = max(0, len(layers) - (clip_skip - 1))
        for layer in layers[:wanted]:
            hidden = layer(hidden, None, is_causal=True)
        states = self.model.final_layer_norm(hidden) if self.row.has_final_norm else hidden
        pooled = None
        if self.row.is_pooled:
            for layer in layers[wanted:]:
                hidden = layer(hidden, None, is_causal=True)
            pooled = self._pool(tokens, hidden).float()
        return states.float(), pooled

    def _embed(
        self,
        tokens: torch.Tensor,
        placed: Placed,
        vectors: Callable[[str], torch.Tensor] | None,
    ) -> torch.Tensor:
        """Token and position embeddings (B, 77, D), with the vectors of embeddings put in."""
        if not placed or vectors is None:
            return cast(torch.Tensor, self.model.embeddings(input_ids=tokens))
        embedded = self.model.embeddings.token_embedding(tokens)
        for row, fix in placed:
            own = vectors(fix.name)[: fix.vectors].to(embedded)
            embedded[row, fix.offset : fix.offset + fix.vectors] = own
        return cast(torch.Tensor, self.model.embeddings(inputs_embeds=embedded))

    def _pool(self, tokens: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Projected last state (B, P) at the end-of-text token, which has the largest number."""
        last = self.model.final_layer_norm(hidden)
        rows = torch.arange(len(tokens), device=tokens.device)
        end = last[rows, tokens.argmax(dim=-1)]
        return end if self.projection is None else cast(torch.Tensor, self.projection(end))


def weigh(states: torch.Tensor, weights: torch.Tensor, emphasis: Emphasis) -> torch.Tensor:
    """Apply token weights (B, L) to states (B, L, D) as A1111 1.10 does.

    "Original" restores the mean of the whole tensor afterwards, "No norm" does not; the other
    two leave the states alone.
    """
    if emphasis not in ("Original", "No norm"):
        return states
    weighted = states * weights.unsqueeze(-1).to(states)
    if emphasis == "No norm":
        return weighted
    return weighted * (states.mean() / weighted.mean())
