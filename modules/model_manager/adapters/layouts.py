"""From the tensors that a file holds for one layer to what they do to it: one row per layout.

Knows the names that trainers give their tensors; the mathematics is in `patches.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from modules.model_manager.adapters.patches import (
    ChannelScale,
    Decomposed,
    Difference,
    Glora,
    Hadamard,
    Kronecker,
    LayerPatch,
    LowRank,
    Orthogonal,
    Tucker,
    WeightPatch,
)

Tensors = Mapping[str, Tensor]
"""What one layer has in a file, by the tensors' names behind the layer's name."""


class UnknownLayout(Exception):
    """No row of LAYOUTS reads these tensors."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One row: tensors that must be there, and what they make."""

    needs: tuple[str, ...]
    make: Callable[[Tensors], WeightPatch]


def layer_patch(tensors: Tensors) -> LayerPatch:
    """What these tensors do to their layer. Raises UnknownLayout."""
    weight = _weight_patch(tensors)
    if weight is not None and "dora_scale" in tensors:
        weight = Decomposed(weight, tensors["dora_scale"])
    bias = next((tensors[name] for name in _BIASES if name in tensors), None)
    if weight is None and bias is None:
        raise UnknownLayout(", ".join(sorted(tensors)))
    if bias is not None and "lora_up.bias" in tensors:
        bias = bias.float() * _scale(tensors, _flat(tensors["lora_up.weight"]).shape[1])
    return LayerPatch(weight, None if bias is None else bias.reshape(-1))


_BIASES = ("diff_b", "b_norm", "lora_up.bias")


def _weight_patch(tensors: Tensors) -> WeightPatch | None:
    try:
        for layout in LAYOUTS:
            if all(name in tensors for name in layout.needs):
                return layout.make(tensors)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise UnknownLayout(f"{', '.join(sorted(tensors))}: {error}") from error
    return None


def _scale(tensors: Tensors, rank: int) -> float:
    """alpha / rank, as all LoRA trainers scale; 1 where there is no alpha."""
    if "scale" in tensors:
        return float(tensors["scale"])
    return float(tensors["alpha"]) / rank if "alpha" in tensors else 1.0


def _flat(tensor: Tensor) -> Tensor:
    """(rows, everything else)."""
    return tensor.reshape(tensor.shape[0], -1)


def _lora(tensors: Tensors) -> WeightPatch:
    up, down = _flat(tensors["lora_up.weight"]), tensors["lora_down.weight"]
    return LowRank(up, _flat(down), _scale(tensors, down.shape[0]))


def _tucker(tensors: Tensors) -> WeightPatch:
    up, down = _flat(tensors["lora_up.weight"]), _flat(tensors["lora_down.weight"])
    return Tucker(up, tensors["lora_mid.weight"], down, _scale(tensors, down.shape[0]))


def _loha(tensors: Tensors) -> WeightPatch:
    first = (tensors["hada_w1_a"], tensors["hada_w1_b"], tensors.get("hada_t1"))
    second = (tensors["hada_w2_a"], tensors["hada_w2_b"], tensors.get("hada_t2"))
    return Hadamard(first, second, _scale(tensors, first[1].shape[0]))


def _lokr(tensors: Tensors) -> WeightPatch:
    def part(name: str) -> tuple[Tensor, Tensor | None, Tensor | None]:
        if f"lokr_{name}" in tensors:
            return tensors[f"lokr_{name}"], None, None
        a, b = tensors[f"lokr_{name}_a"], tensors[f"lokr_{name}_b"]
        core = tensors.get(f"lokr_t{name[1]}")
        return a, b if core is not None else _flat(b), core

    first, second = part("w1"), part("w2")
    low = first[1] if first[1] is not None else second[1]
    # With both factors whole there is no rank to divide by, and alpha means nothing.
    return Kronecker(first, second, 1.0 if low is None else _scale(tensors, low.shape[0]))


def _ia3(tensors: Tensors) -> WeightPatch:
    return ChannelScale(tensors["weight"].reshape(-1), bool(tensors["on_input"]))


def _glora(tensors: Tensors) -> WeightPatch:
    a1, a2, b1, b2 = (_flat(tensors[f"{name}.weight"]) for name in ("a1", "a2", "b1", "b2"))
    scale = _scale(tensors, a2.shape[0])
    if a1.shape[0] == a2.shape[1]:
        return Glora(a1, a2, b1, b2, scale)
    # LyCORIS before 2.0 kept them the other way round: W @ a2 @ a1, b2 @ b1.
    return Glora(a2, a1, b2, b1, _scale(tensors, a1.shape[0]))


def _oft(tensors: Tensors) -> WeightPatch:
    alpha = float(tensors["alpha"]) if "alpha" in tensors else 0.0
    return Orthogonal(tensors["oft_blocks"], max(alpha, 0.0), tensors.get("rescale"))


def _old_oft(tensors: Tensors) -> WeightPatch:
    return Orthogonal(tensors["oft_diag"], 0.0, tensors.get("rescale"))


LAYOUTS: Final[tuple[Layout, ...]] = (
    Layout(("lora_up.weight", "lora_mid.weight", "lora_down.weight"), _tucker),
    Layout(("lora_up.weight", "lora_down.weight"), _lora),
    Layout(("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"), _loha),
    Layout(("lokr_w1", "lokr_w2"), _lokr),
    Layout(("lokr_w1", "lokr_w2_a", "lokr_w2_b"), _lokr),
    Layout(("lokr_w1_a", "lokr_w1_b", "lokr_w2"), _lokr),
    Layout(("lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b"), _lokr),
    Layout(("a1.weight", "a2.weight", "b1.weight", "b2.weight"), _glora),
    Layout(("oft_blocks",), _oft),
    Layout(("oft_diag",), _old_oft),
    Layout(("on_input", "weight"), _ia3),
    Layout(("diff",), lambda tensors: Difference(tensors["diff"])),
    Layout(("w_norm",), lambda tensors: Difference(tensors["w_norm"])),
)
"""The first row whose tensors are all there reads a layer."""

ENDINGS: Final[Mapping[str, str]] = {
    **{
        name: name
        for name in (
            "lora_up.weight", "lora_down.weight", "lora_mid.weight", "lora_up.bias",
            "alpha", "scale", "dora_scale",
            "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
            "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b",
            "lokr_t1", "lokr_t2",
            "a1.weight", "a2.weight", "b1.weight", "b2.weight",
            "oft_blocks", "oft_diag", "rescale",
            "on_input", "weight", "diff", "diff_b", "w_norm", "b_norm",
        )
    },
    "lora_A.weight": "lora_down.weight",
    "lora_B.weight": "lora_up.weight",
    "lora_A.default.weight": "lora_down.weight",
    "lora_B.default.weight": "lora_up.weight",
    "lora_B.bias": "lora_up.bias",
    "lora_B.default.bias": "lora_up.bias",
    "lora.down.weight": "lora_down.weight",
    "lora.up.weight": "lora_up.weight",
    "lora_linear_layer.down.weight": "lora_down.weight",
    "lora_linear_layer.up.weight": "lora_up.weight",
    "down.weight": "lora_down.weight",
    "up.weight": "lora_up.weight",
    "lora_magnitude_vector": "dora_scale",
    "lora_magnitude_vector.weight": "dora_scale",
    "lora_magnitude_vector.default.weight": "dora_scale",
}  # fmt: skip
"""What follows a layer's name in files, and which of our names that is; the longest counts."""


def split_name(name: str) -> tuple[str, str] | None:
    """The layer's name and our name of the tensor; None for a tensor that no layout has.

    >>> split_name("unet.mid_block.attentions.0.proj_in.lora_A.weight")
    ('unet.mid_block.attentions.0.proj_in', 'lora_down.weight')
    >>> split_name("lora_unet_conv_in.alpha")
    ('lora_unet_conv_in', 'alpha')
    """
    pieces = name.split(".")
    for count in range(1, len(pieces)):
        ending = ENDINGS.get(".".join(pieces[count:]))
        if ending is not None:
            return ".".join(pieces[:count]), ending
    return None


def is_finite(tensor: Tensor) -> bool:
    """Whether all values are numbers; their sum tells, and takes one pass."""
    if not tensor.is_floating_point():
        return True
    if tensor.dtype.itemsize == 1:
        tensor = tensor.float()
    return bool(torch.isfinite(tensor.sum(dtype=torch.float32)))
