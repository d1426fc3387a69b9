"""How each kind of adapter changes a weight: one class per kind, mathematics only.

Every class answers `delta`: what multiplier 1 adds to the weight as it is now, in float32. The
formulas are those of the papers and of LyCORIS (Apache-2.0), whose file layouts these are:
LoRA (Hu et al. 2021), LoHa (Hyeon-Woo et al. 2021), LoKr (Edalati et al. 2022), (IA)³ (Liu et al.
2022), GLoRA (Chavan et al. 2023), OFT (Qiu et al. 2023), BOFT (Liu et al. 2023), DoRA (Liu et al.
2024). A multiplier m gives weight + m · delta for all of them (A1111 1.10 behaviour).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class WeightPatch(Protocol):
    """Changes the weight of one layer."""

    def fits(self, shape: torch.Size) -> bool:
        """Whether a weight of this shape can be changed."""
        ...

    def delta(self, weight: Tensor, rank: int | None = None) -> Tensor:
        """What to add to `weight` (float32, any device), in its shape, float32.

        `rank` uses only so many ranks (DyLoRA, Valipour et al. 2022) where there are ranks.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class LayerPatch:
    """All that an adapter does to one layer."""

    weight: WeightPatch | None
    bias: Tensor | None = None
    """(out,), added to the bias, which is made where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """LoRA: scale · up @ down; up (out, r), down (r, in · kernel)."""

    up: Tensor
    down: Tensor
    scale: float

    def fits(self, shape: torch.Size) -> bool:
        """See `WeightPatch`."""
        return (
            self.up.shape[1] == self.down.shape[0]
            and self.up.shape[0] == shape[0]
            and self.down.shape[1] == math.prod(shape[1:])
        )

    def factors(self, rank: int | None, device: torch.device) -> tuple[Tensor, Tensor]:
        """up · scale (out, r) and down (r, in · kernel), float32 on `device`."""
        up, down = self.up[:, :rank].to(device), self.down[:rank].to(device)
        return up.float() * self.scale, down.float()

    def delta(self, weight: Tensor, rank: int | None = None) -> Tensor:
        """See `WeightPatch`."""
        up, down = self.factors(rank, weight.device)
        return (up @ down).reshape(weight.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Tucker:
    """LoRA of a convolution in CP form: up (out, r), mid (r, s, kh, kw), down (s, in)."""

    up: Tensor
    mid: Tensor
    down: Tensor
    scale: float

    def fits(self, shape: torch.Size) -> bool:
        """See `WeightPatch`."""
        rows, columns = self.mid.shape[:2]
        return (
            (self.up.shape[0], self.down.shape[1], *self.mid.shape[2:]) == tuple(shape)
            and self.up.shape[1] == rows
            and self.down.shape[0] == columns
        )

    def delta(self, weight: Tensor, rank: int | None = None) -> Tensor:
        """See `WeightPatch`."""
        up, mid, down = _float(weight, self.up, self.mid, self.down)
        return self.scale * torch.einsum("rs...,or,si->oi...", mid, up, down)


@dataclass(frozen=True, slots=True, eq=False)
class Hadamard:
    """LoHa: scale · (a1 @ b1) ∘ (a2 @ b2), or with cores t (r, r, kh, kw) as in `core_product`."""

    first: tuple[Tensor, Tensor, Tensor | None]
    """a (out, r), b (r, in · kernel), None; with a core: a (r, out), b (r, in), t."""
    second: tuple[Tensor, Tensor, Tensor | None]
    scale: float

    def fits(self, shape: torch.Size) -> bool:
        """See `WeightPatch`."""
        sizes = {product_size(*half) for half in (self.first, self.second)}
        return sizes == {math.prod(shape)} and _rows(self.first) == shape[0]

    def delta(self, weight: Tensor, rank: int | None = None) -> Tensor:
        """See `WeightPatch`."""
        halves = (core_product(*half, like=weight) for half in (self.first, self.second))
        first, second = halves
        return self.scale * (first * second).reshape(weight.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Kronecker:
    """LoKr: scale · first ⊗ second, each whole (a, None, None) or a product as in Hadamard."""

    first: tuple[Tensor, Tensor | None, Tensor | None]
    second: tuple[Tensor, Tensor | None, Tensor | None]
    scale: float

    def fits(self, shape: torch.Size) -> bool:
        """See `WeightPatch`."""
        size = math.prod(_size(part) for part in (self.first, self.second))
        return size == math.prod(shape) and _rows(self.first) * _rows(self.second) == shape[0]

    def delta(self, weight: Tensor, rank: int | None = None) -> Tensor:
        """See `WeightPatch`."""
        first, second = (_whole(part, weight) for part in (self.first, self.second))
        first = first.reshape(*first.shape, *[1] * (second.dim() - first.dim()))
        return self.scale * torch.kron(first, second.contiguous()).reshape(weight.shape)


@dataclass(frozen=True, slots=True, eq=False)
class ChannelScale:
    """(IA)³: the weight times a factor per input or output channel; factor (n,)."""

    factor: Tensor
    on_input: bool

    def fits(self, shape: torch.Size) -> bool:
        """See `WeightPatch`."""
        return len(shape) > 1 and self.factor.numel() == shape[1 if self.on_input else 0]

    def delta(self, weight: Tensor, rank: int | None = None) -> Tensor:
        """See `WeightPatch`."""
        shape = [1] * weight.dim()
        shape[1 if self.on_input else 0] = -1
        (factor,) = _float(weight, self.factor)
        return weight * factor.reshape(shape)


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """The difference itself, as full fine-tunings and norms store it."""

    tensor: Tensor

    def fits(self, shape: torch.Size) -> bool:
        """See `WeightPatch`."""
        return self.tensor.numel() == math.prod(shape) and self.tensor.shape[0] == shape[0]

    def delta(self, weight: Tensor, rank: int | None = None) -> Tensor:
        """See `WeightPatch`."""
        (tensor,) = _float(weight, self.tensor)
        return tensor.reshape(weight.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Glora:
    """GLoRA: scale · (b1 @ b2 + W @ a1 @ a2); a1 (in, r), a2 (r, in), b1 (out, r), b2 (r, in·k)."""

    a1: Tensor
    a2: Tensor
    b1: Tensor
    b2: Tensor
    scale: float

    def fits(self, shape: torch.Size) -> bool:
        """See `WeightPatch`."""
        return (
            len(shape) > 1
            and (self.a1.shape[0], self.a2.shape[1]) == (shape[1], shape[1])
            and (self.b1.shape[0], self.b2.shape[1]) == (shape[0], math.prod(shape[1:]))
        )

    def delta(self, weight: Tensor, rank: int | None = None) -> Tensor:
        """See `WeightPatch`."""
        a1, a2, b1, b2 = _float(weight, self.a1, self.a2, self.b1, self.b2)
        turned = torch.einsum("oi...,ir,rj->oj...", weight, a1, a2)
        return self.scale * ((b1 @ b2).reshape(weight.shape) + turned)


@dataclass(frozen=True, slots=True, eq=False)
class Orthogonal:
    """OFT: blocks (n, s, s) of output channels turned by Cayley rotations; BOFT: (m, n, s, s).

    `constraint` bounds the norm of the rotations' generators, per output channel; 0: unbounded.
    """

    blocks: Tensor
    constraint: float
    rescale: Tensor | None

    def fits(self, shape: torch.Size) -> bool:
        """See `WeightPatch`."""
        number, size = self.blocks.shape[-3], self.blocks.shape[-1]
        levels = self.blocks.shape[0] if self.blocks.dim() == 4 else 1
        return (
            number * size == shape[0]
            and self.blocks.shape[-2] == size
            and shape[0] % (2 ** (levels - 1) * size) == 0
        )

    def delta(self, weight: Tensor, rank: int | None = None) -> Tensor:
        """See `WeightPatch`."""
        (blocks,) = _float(weight, self.blocks)
        turns = rotations(blocks, self.constraint * weight.shape[0])
        turned = weight
        if turns.dim() == 3:
            rows = weight.reshape(turns.shape[0], turns.shape[1], -1)
            turned = torch.einsum("knm,kni->kmi", turns, rows).reshape(weight.shape)
        else:
            for level, turn in enumerate(turns):
                turned = _butterfly(turned.reshape(weight.shape[0], -1), turn, level)
            turned = turned.reshape(weight.shape)
        if self.rescale is not None:
            (rescale,) = _float(weight, self.rescale)
            turned = turned * rescale.reshape(-1, *[1] * (weight.dim() - 1))
        return turned - weight


@dataclass(frozen=True, slots=True, eq=False)
class Decomposed:
    """DoRA: the changed weight with columns (or rows) of the norms in `magnitude`."""

    inner: WeightPatch
    magnitude: Tensor
    """(out, 1, …): norms of rows (one per output); (1, in, …): of columns."""

    def fits(self, shape: torch.Size) -> bool:
        """See `WeightPatch`."""
        sizes = (shape[0], shape[1]) if len(shape) > 1 else (shape[0],)
        return self.magnitude.numel() in sizes and self.inner.fits(shape)

    def delta(self, weight: Tensor, rank: int | None = None) -> Tensor:
        """See `WeightPatch`."""
        (magnitude,) = _float(weight, self.magnitude)
        changed = weight + self.inner.delta(weight, rank)
        kept = 0 if self._is_by_row(weight.shape) else 1
        others = [axis for axis in range(weight.dim()) if axis != kept]
        norm = torch.linalg.vector_norm(changed, dim=others, keepdim=True)
        shape = [1] * weight.dim()
        shape[kept] = -1
        scale: Tensor = magnitude.reshape(shape) / (norm + torch.finfo(torch.float32).eps)
        return changed * scale - weight

    def _is_by_row(self, shape: torch.Size) -> bool:
        lies_along_columns = self.magnitude.dim() > 1 and self.magnitude.shape[0] == 1 != shape[0]
        return self.magnitude.numel() == shape[0] and not lies_along_columns


def rotations(blocks: Tensor, limit: float) -> Tensor:
    """Cayley transform (I + Q)(I - Q)⁻¹ of Q = blocks - blocksᵀ, whose norm is at most `limit`."""
    generator = blocks - blocks.transpose(-1, -2)
    norm = float(torch.linalg.vector_norm(generator)) + 1e-8
    if 0 < limit < norm:
        generator = generator * (limit / norm)
    identity = torch.eye(blocks.shape[-1], device=blocks.device)
    return torch.matmul(identity + generator, torch.linalg.inv(identity - generator))


def core_product(a: Tensor, b: Tensor, core: Tensor | None, *, like: Tensor) -> Tensor:
    """a @ b, or with a core t: Σ t[i,j,…] a[i,o] b[j,k]; float32 on the device of `like`."""
    if core is None:
        left, right = _float(like, a, b)
        return left @ right
    left, right, middle = _float(like, a, b, core)
    return torch.einsum("ij...,io,jk->ok...", middle, left, right)


def product_size(a: Tensor, b: Tensor, core: Tensor | None) -> int:
    """Numbers in `core_product`; 0 where the parts do not fit together."""
    if core is None:
        return a.shape[0] * b.shape[1] if a.shape[1] == b.shape[0] else 0
    if core.shape[:2] != (a.shape[0], b.shape[0]):
        return 0
    return a.shape[1] * b.shape[1] * math.prod(core.shape[2:])


def _butterfly(rows: Tensor, turn: Tensor, level: int) -> Tensor:
    """One stage of BOFT: turns pairs of half blocks that lie 2^level half blocks apart."""
    number, size = turn.shape[0], turn.shape[-1]
    stride = 2**level * (size // 2)
    width = rows.shape[1]
    mixed = rows.reshape(-1, 2, stride, width).transpose(1, 2).reshape(number, size, width)
    mixed = torch.einsum("kij,kjw->kiw", turn, mixed)
    return mixed.reshape(-1, stride, 2, width).transpose(1, 2).reshape(-1, width)


def _whole(part: tuple[Tensor, Tensor | None, Tensor | None], like: Tensor) -> Tensor:
    a, b, core = part
    if b is None:
        (whole,) = _float(like, a)
        return whole
    return core_product(a, b, core, like=like)


def _size(part: tuple[Tensor, Tensor | None, Tensor | None]) -> int:
    a, b, core = part
    return a.numel() if b is None else product_size(a, b, core)


def _rows(part: tuple[Tensor, Tensor | None, Tensor | None]) -> int:
    a, b, core = part
    return a.shape[1] if b is not None and core is not None else a.shape[0]


def _float(like: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.to(like.device).float() for tensor in tensors)
