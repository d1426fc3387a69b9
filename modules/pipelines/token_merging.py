"""Token merging: attention over fewer tokens, by averaging those that resemble each other.

Bolya & Hoffman, "Token Merging for Fast Stable Diffusion", 2023, arXiv:2303.17604, without its
random choice of destinations (A1111 1.10 behaviour): self-attention only, and only in the blocks
that see every cell of the latent, where most of the time goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor

CELL = 2
"""One destination per CELL x CELL tokens: the upper left one."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Which tokens of (B, N, D) are averaged into which; made by `find_merge`."""

    sources: Tensor
    """(N - M,) numbers of the tokens that may be merged."""
    destinations: Tensor
    """(M,) numbers of the tokens that others may be merged into."""
    kept: Tensor
    """(B, K, 1) places within `sources` of those that stay."""
    merged: Tensor
    """(B, R, 1) places within `sources` of those that are merged."""
    into: Tensor
    """(B, R, 1) places within `destinations`, one for each of `merged`."""

    def merge(self, tokens: Tensor) -> Tensor:
        """(B, N, D) to (B, K + M, D): those that stay, then the averages."""
        width = tokens.shape[-1]
        source, target = tokens[:, self.sources], tokens[:, self.destinations]
        kept = source.gather(1, self.kept.expand(-1, -1, width))
        merged = source.gather(1, self.merged.expand(-1, -1, width))
        places = self.into.expand(-1, -1, width)
        averages = target.scatter_reduce(1, places, merged, reduce="mean", include_self=True)
        return torch.cat((kept, averages), dim=1)

    def unmerge(self, tokens: Tensor) -> Tensor:
        """(B, K + M, D) to (B, N, D): a merged token gets its destination's value."""
        rows, width, kept = tokens.shape[0], tokens.shape[-1], self.kept.shape[1]
        averages = tokens[:, kept:]
        source = tokens.new_empty(rows, len(self.sources), width)
        source.scatter_(1, self.kept.expand(-1, -1, width), tokens[:, :kept])
        returned = averages.gather(1, self.into.expand(-1, -1, width))
        source.scatter_(1, self.merged.expand(-1, -1, width), returned)
        whole = tokens.new_empty(rows, len(self.sources) + len(self.destinations), width)
        whole[:, self.sources] = source
        whole[:, self.destinations] = averages
        return whole


def find_merge(tokens: Tensor, height: int, width: int, ratio: float) -> Merge | None:
    """How to leave out `ratio` (0..1) of the height x width tokens (B, N, D); None: not at all.

    Each source is paired with the destination most similar to it (cosine); the best pairs merge.
    """
    grid = torch.arange(height * width, device=tokens.device).view(height, width)
    is_target = torch.zeros(height, width, dtype=torch.bool, device=tokens.device)
    rows, columns = height // CELL * CELL, width // CELL * CELL
    is_target[:rows:CELL, :columns:CELL] = True
    sources, targets = grid[~is_target], grid[is_target]
    count = min(int(height * width * ratio), len(sources))
    if count <= 0 or not len(targets):
        return None
    direction = tokens / tokens.norm(dim=-1, keepdim=True)
    similarity = direction[:, sources] @ direction[:, targets].transpose(-1, -2)
    best, place = similarity.max(dim=-1)
    order = best.argsort(dim=-1, descending=True, stable=True).unsqueeze(-1)
    merged = order[:, :count]
    into = place.unsqueeze(-1).gather(1, merged)
    return Merge(sources, targets, order[:, count:], merged, into)


@contextmanager
def merging_tokens(unet: torch.nn.Module, ratio: float) -> Iterator[None]:
    """Merge tokens in `unet` until the block ends; it is then as it was, whatever happens inside.

    Works through torch's hooks: no layer of the network is replaced.
    """
    with ExitStack() as stack:
        size: list[int] = []

        def note_size(_: object, args: tuple[Any, ...]) -> None:
            size[:] = args[0].shape[-2:]

        stack.callback(unet.register_forward_pre_hook(note_size).remove)
        for block in unet.modules():
            if isinstance(block, BasicTransformerBlock):
                _hook(block, ratio, size, stack)
        yield


def _hook(block: BasicTransformerBlock, ratio: float, size: list[int], stack: ExitStack) -> None:
    """Find the merge from what comes into the block, and merge around its self-attention."""
    found: list[Merge | None] = [None]

    def find(_: object, args: tuple[Any, ...]) -> None:
        tokens = args[0]
        is_whole = tokens.shape[1] == size[0] * size[1]
        found[0] = find_merge(tokens, size[0], size[1], ratio) if is_whole else None

    def merge(_: object, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        return (found[0].merge(args[0]), *args[1:]) if found[0] else None

    def unmerge(_: object, args: object, result: Tensor) -> Tensor:
        return found[0].unmerge(result) if found[0] else result

    stack.callback(block.norm1.register_forward_pre_hook(find).remove)
    stack.callback(block.attn1.register_forward_pre_hook(merge).remove)
    stack.callback(block.attn1.register_forward_hook(unmerge).remove)
