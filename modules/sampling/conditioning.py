"""What a prompt becomes for the network, and how it changes over the steps.

Knows tensors only: no tokenizer, no text, no model family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Conditioning:
    """The network's side inputs for B rows.

    crossattn: (B, L, D) text vectors.
    vector: (B, V) pooled text and size vector (SDXL), or None.
    concat: (B, C, h, w) channels to append to the latent (inpainting models), or None.
    """

    crossattn: Tensor
    vector: Tensor | None = None
    concat: Tensor | None = None

    @property
    def length(self) -> int:
        """Number of text vectors, L."""
        return int(self.crossattn.shape[1])


ScheduledCond = tuple[tuple[int, Conditioning], ...]
"""(last step that uses it, Conditioning of one image) in ascending order; prompt editing."""

ImagePrompt = tuple[tuple[float, ScheduledCond], ...]
"""The AND parts of one image's prompt with their weights, in order."""


def constant(cond: Conditioning) -> ScheduledCond:
    """The schedule that uses `cond` at every step."""
    return ((2**31, cond),)


def at_step(schedule: ScheduledCond, step: int) -> Conditioning:
    """The entry in force: the first whose end step is not before `step` (0-based), else the last.

    A1111 1.10 behaviour: end steps count from 1 and the counter from 0, so `[a:b:4]` keeps
    `a` for five network calls.
    """
    for end_step, cond in schedule:
        if step <= end_step:
            return cond
    return schedule[-1][1]


def pad_with_last_vector(cond: Conditioning, length: int) -> Conditioning:
    """Lengthen `crossattn` to `length` by repeating its last vector; longer ones stay."""
    missing = length - cond.length
    if missing <= 0:
        return cond
    tail = cond.crossattn[:, -1:].expand(-1, missing, -1)
    return replace(cond, crossattn=torch.cat([cond.crossattn, tail], dim=1))


def pad_with_empty(cond: Conditioning, length: int, empty: Tensor) -> Conditioning:
    """Lengthen `crossattn` by whole chunks of the empty prompt; empty: (1, 77, D)."""
    repeats = (length - cond.length) // empty.shape[1]
    if repeats <= 0:
        return cond
    tail = empty.to(cond.crossattn).repeat(cond.crossattn.shape[0], repeats, 1)
    return replace(cond, crossattn=torch.cat([cond.crossattn, tail], dim=1))


def cut_or_pad(cond: Conditioning, length: int) -> Conditioning:
    """Make `crossattn` exactly `length` long: cut, or repeat the last vector (Pad conds v0)."""
    if cond.length > length:
        return replace(cond, crossattn=cond.crossattn[:, :length])
    return pad_with_last_vector(cond, length)


def stack(conds: Sequence[Conditioning]) -> Conditioning:
    """Join along the batch; shorter texts are lengthened by repeating their last vector."""
    longest = max(cond.length for cond in conds)
    padded = [pad_with_last_vector(cond, longest) for cond in conds]
    return concatenate(padded)


def concatenate(conds: Sequence[Conditioning]) -> Conditioning:
    """Join along the batch; every `crossattn` must have the same length."""
    return Conditioning(
        crossattn=torch.cat([cond.crossattn for cond in conds]),
        vector=_join([cond.vector for cond in conds]),
        concat=_join([cond.concat for cond in conds]),
    )


def rows(cond: Conditioning, select: slice) -> Conditioning:
    """The rows of the batch that `select` picks."""
    return _map(cond, lambda tensor: tensor[select])


def _map(cond: Conditioning, change: Callable[[Tensor], Tensor]) -> Conditioning:
    return Conditioning(
        crossattn=change(cond.crossattn),
        vector=None if cond.vector is None else change(cond.vector),
        concat=None if cond.concat is None else change(cond.concat),
    )


def _join(tensors: Sequence[Tensor | None]) -> Tensor | None:
    present = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(present) if len(present) == len(tensors) else None
