"""One layer's weight with all its adapters in it, computed in float32 in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from modules.model_manager.adapters.patches import LayerPatch, LowRank, WeightPatch

BLOCK_BYTES: Final = 1 << 20
"""Of a weight, worked on at a time on the CPU; fits into a core's second cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Dose:
    """An adapter's patch of one layer and how much of it."""

    patch: LayerPatch
    multiplier: float
    rank: int | None = None
    """Ranks to use (DyLoRA); None: all."""


def storage_dtype(weight: Tensor, compute: torch.dtype) -> torch.dtype:
    """What a changed weight is stored in: its own format, or `compute` where that is too coarse."""
    return weight.dtype if weight.dtype.itemsize > 1 else compute


def merged_weight(weight: Tensor, doses: Sequence[Dose], out: Tensor) -> None:
    """Write `weight` with its patches into `out` (same shape and device, any float format).

    Patches act in order, each on what the ones before it left; LoRAs that follow one another
    are one product of matrices.
    """
    waiting: list[tuple[Tensor, Tensor]] = []
    current: Tensor | None = None
    for dose in doses:
        patch = dose.patch.weight
        if patch is None:
            continue
        if isinstance(patch, LowRank):
            up, down = patch.factors(dose.rank, weight.device)
            waiting.append((up * dose.multiplier, down))
            continue
        current = _wide(weight) if current is None else current
        if waiting:
            _add_products(current, waiting, current)
            waiting = []
        current.add_(_delta(patch, current, dose), alpha=dose.multiplier)
    if waiting:
        _add_products(weight if current is None else current, waiting, out)
    else:
        out.copy_(weight if current is None else current)


def merged_bias(bias: Tensor | None, doses: Sequence[Dose], out: Tensor) -> None:
    """Write `bias` (None: zeros) with its patches into `out` (n,)."""
    current = torch.zeros_like(out, dtype=torch.float32) if bias is None else _wide(bias)
    for dose in doses:
        if dose.patch.bias is not None:
            added = dose.patch.bias.to(current.device).float()
            current.add_(added, alpha=dose.multiplier)
    out.copy_(current)


def _delta(patch: WeightPatch, current: Tensor, dose: Dose) -> Tensor:
    return patch.delta(current, dose.rank)


def _wide(weight: Tensor) -> Tensor:
    """A float32 copy."""
    return weight.to(torch.float32, copy=True)


def _add_products(base: Tensor, products: list[tuple[Tensor, Tensor]], out: Tensor) -> None:
    """out = base + Σ up @ down, in one call where the formats allow it.

    bfloat16 on a CPU multiplies in its own format: its sums are float32 inside, and rounding the
    factors changes the result less than rounding the result does.
    """
    up = products[0][0] if len(products) == 1 else torch.cat([one for one, _ in products], dim=1)
    down = products[0][1] if len(products) == 1 else torch.cat([two for _, two in products])
    source, target = base.reshape(base.shape[0], -1), out.view(out.shape[0], -1)
    own = base.dtype
    if own == out.dtype and (own == torch.float32 or (own == torch.bfloat16 and _is_cpu(base))):
        torch.addmm(source, up.to(own), down.to(own), out=target)
        return
    rows = max(1, BLOCK_BYTES // (4 * source.shape[1])) if _is_cpu(base) else source.shape[0]
    for start in range(0, source.shape[0], rows):
        block = slice(start, start + rows)
        target[block] = source[block].float().addmm_(up[block], down)


def _is_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu"
