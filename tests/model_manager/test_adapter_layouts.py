"""Every layout of adapter files against its formula, written out here once more, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from modules.model_manager.adapters import Use, put_on, read_adapter, take_off
from modules.model_manager.adapters.layouts import layer_patch
from modules.pipelines.sd import StableDiffusion

LINEAR = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
CONVOLUTION = "mid_block.resnets.0.conv1"
NORM = "mid_block.resnets.0.norm1"
RANK, ALPHA = 4, 2.0

Tensors = dict[str, Tensor]
Formula = Callable[[Tensor, dict[str, Tensor]], Tensor]
"""The changed weight, from the weight and the file's tensors, all float64."""


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator) * 0.3


def lora(out: int, ins: int, *kernel: int) -> Tensors:
    ones = [1] * len(kernel)
    return {
        "lora_down.weight": random(RANK, ins, *kernel, seed=1),
        "lora_up.weight": random(out, RANK, *ones, seed=2),
        "alpha": torch.tensor(ALPHA),
    }


def lora_formula(weight: Tensor, t: Tensors) -> Tensor:
    result = weight.clone()
    up = t["lora_up.weight"].flatten(1)
    for rank in range(RANK):
        outer = up[:, rank].reshape(-1, *[1] * (weight.dim() - 1)) * t["lora_down.weight"][rank]
        result += ALPHA / RANK * outer
    return result


def tucker(out: int, ins: int, *kernel: int) -> Tensors:
    return {
        "lora_down.weight": random(3, ins, 1, 1, seed=1),
        "lora_mid.weight": random(RANK, 3, *kernel, seed=3),
        "lora_up.weight": random(out, RANK, 1, 1, seed=2),
        "alpha": torch.tensor(ALPHA),
    }


def tucker_formula(weight: Tensor, t: Tensors) -> Tensor:
    """Three convolutions after one another are one with their product."""
    eye = torch.eye(weight.shape[1], dtype=torch.float64)[:, :, None, None]
    down = torch.nn.functional.conv2d(eye, t["lora_down.weight"])
    mid = torch.nn.functional.conv2d(down, t["lora_mid.weight"].flip(2, 3), padding=2)
    up = torch.nn.functional.conv2d(mid, t["lora_up.weight"])
    return weight + ALPHA / 3 * up.transpose(0, 1)


def loha(out: int, ins: int, *kernel: int) -> Tensors:
    columns = ins * math.prod(kernel)
    return {
        "hada_w1_a": random(out, RANK, seed=1),
        "hada_w1_b": random(RANK, columns, seed=2),
        "hada_w2_a": random(out, RANK, seed=3),
        "hada_w2_b": random(RANK, columns, seed=4),
        "alpha": torch.tensor(ALPHA),
    }


def loha_formula(weight: Tensor, t: Tensors) -> Tensor:
    one, two = t["hada_w1_a"] @ t["hada_w1_b"], t["hada_w2_a"] @ t["hada_w2_b"]
    return weight + (ALPHA / RANK * one * two).reshape(weight.shape)


def loha_core(out: int, ins: int, *kernel: int) -> Tensors:
    return {
        "hada_t1": random(RANK, RANK, *kernel, seed=5),
        "hada_w1_a": random(RANK, out, seed=1),
        "hada_w1_b": random(RANK, ins, seed=2),
        "hada_t2": random(RANK, RANK, *kernel, seed=6),
        "hada_w2_a": random(RANK, out, seed=3),
        "hada_w2_b": random(RANK, ins, seed=4),
        "alpha": torch.tensor(ALPHA),
    }


def core(t: Tensor, a: Tensor, b: Tensor) -> Tensor:
    result = torch.zeros(a.shape[1], b.shape[1], *t.shape[2:], dtype=torch.float64)
    for i in range(t.shape[0]):
        for j in range(t.shape[1]):
            plane = a[i][:, None] * b[j][None, :]
            result += plane[:, :, None, None] * t[i, j]
    return result


def loha_core_formula(weight: Tensor, t: Tensors) -> Tensor:
    one = core(t["hada_t1"], t["hada_w1_a"], t["hada_w1_b"])
    two = core(t["hada_t2"], t["hada_w2_a"], t["hada_w2_b"])
    return weight + ALPHA / RANK * one * two


def kron(one: Tensor, two: Tensor, shape: torch.Size) -> Tensor:
    blocks = [[one[i, j] * two for j in range(one.shape[1])] for i in range(one.shape[0])]
    return torch.cat([torch.cat(row, dim=1) for row in blocks]).reshape(shape)


def lokr_whole(out: int, ins: int, *kernel: int) -> Tensors:
    return {
        "lokr_w1": random(4, 4, seed=1),
        "lokr_w2": random(out // 4, ins // 4, *kernel, seed=2),
        "alpha": torch.tensor(ALPHA),
    }


def lokr_whole_formula(weight: Tensor, t: Tensors) -> Tensor:
    """With both factors whole, alpha has no rank to be divided by, and is left out."""
    return weight + kron(t["lokr_w1"], t["lokr_w2"], weight.shape)


def lokr_factored(out: int, ins: int, *kernel: int) -> Tensors:
    return {
        "lokr_w1_a": random(4, 2, seed=1),
        "lokr_w1_b": random(2, 4, seed=2),
        "lokr_w2_a": random(out // 4, 2, seed=3),
        "lokr_w2_b": random(2, ins // 4 * math.prod(kernel), seed=4),
        "alpha": torch.tensor(ALPHA),
    }


def lokr_factored_formula(weight: Tensor, t: Tensors) -> Tensor:
    one, two = t["lokr_w1_a"] @ t["lokr_w1_b"], t["lokr_w2_a"] @ t["lokr_w2_b"]
    two = two.reshape(weight.shape[0] // 4, weight.shape[1] // 4, *weight.shape[2:])
    return weight + ALPHA / 2 * kron(one, two, weight.shape)


def lokr_core(out: int, ins: int, *kernel: int) -> Tensors:
    return {
        "lokr_w1": random(4, 4, seed=1),
        "lokr_t2": random(2, 2, *kernel, seed=5),
        "lokr_w2_a": random(2, out // 4, seed=3),
        "lokr_w2_b": random(2, ins // 4, seed=4),
        "alpha": torch.tensor(ALPHA),
    }


def lokr_core_formula(weight: Tensor, t: Tensors) -> Tensor:
    two = core(t["lokr_t2"], t["lokr_w2_a"], t["lokr_w2_b"])
    return weight + ALPHA / 2 * kron(t["lokr_w1"], two, weight.shape)


def ia3_out(out: int, ins: int, *kernel: int) -> Tensors:
    shape = (1, out, 1, 1) if kernel else (out,)
    return {"weight": random(*shape), "on_input": torch.tensor(0)}


def ia3_out_formula(weight: Tensor, t: Tensors) -> Tensor:
    factor = 1 + t["weight"].flatten()
    return torch.stack([row * factor[index] for index, row in enumerate(weight)])


def ia3_in(out: int, ins: int, *kernel: int) -> Tensors:
    shape = (1, ins, 1, 1) if kernel else (ins,)
    return {"weight": random(*shape), "on_input": torch.tensor(True)}


def ia3_in_formula(weight: Tensor, t: Tensors) -> Tensor:
    factor = 1 + t["weight"].flatten()
    columns = [weight[:, index] * factor[index] for index in range(weight.shape[1])]
    return torch.stack(columns, dim=1)


def full(out: int, ins: int, *kernel: int) -> Tensors:
    return {"diff": random(out, ins, *kernel)}


def full_formula(weight: Tensor, t: Tensors) -> Tensor:
    return weight + t["diff"]


def glora(out: int, ins: int, *kernel: int) -> Tensors:
    ones = [1] * len(kernel)
    return {
        "a1.weight": random(ins, RANK, *ones, seed=1),
        "a2.weight": random(RANK, ins, *ones, seed=2),
        "b1.weight": random(out, RANK, *ones, seed=3),
        "b2.weight": random(RANK, ins, *kernel, seed=4),
        "alpha": torch.tensor(ALPHA),
    }


def glora_formula(weight: Tensor, t: Tensors) -> Tensor:
    a = t["a1.weight"].flatten(1) @ t["a2.weight"].flatten(1)
    added = t["b1.weight"].flatten(1) @ t["b2.weight"].flatten(1)
    turned = torch.tensordot(weight, a, dims=([1], [0])).movedim(-1, 1)
    return weight + ALPHA / RANK * (added.reshape(weight.shape) + turned)


def cayley(blocks: Tensor, limit: float = 0.0) -> Tensor:
    q = blocks - blocks.mT
    norm = float(q.norm())
    q = q * (limit / norm) if 0 < limit < norm else q
    eye = torch.eye(q.shape[-1], dtype=q.dtype)
    return torch.linalg.solve((eye - q).mT, (eye + q).mT).mT


def oft(out: int, ins: int, *kernel: int) -> Tensors:
    return {"oft_blocks": random(out // 4, 4, 4), "alpha": torch.tensor(0.0)}


def oft_formula(weight: Tensor, t: Tensors) -> Tensor:
    """Each block of 4 output channels is turned by the transpose of its rotation."""
    turn = torch.block_diag(*cayley(t["oft_blocks"]))
    return (turn.T @ weight.flatten(1)).reshape(weight.shape)


def bound_oft(out: int, ins: int, *kernel: int) -> Tensors:
    rescale = random(out, 1, *[1] * len(kernel)) + 1
    return {
        "oft_blocks": random(out // 4, 4, 4),
        "alpha": torch.tensor(0.01),
        "rescale": rescale,
    }


def bound_oft_formula(weight: Tensor, t: Tensors) -> Tensor:
    turn = torch.block_diag(*cayley(t["oft_blocks"], 0.01 * weight.shape[0]))
    return (turn.T @ weight.flatten(1)).reshape(weight.shape) * t["rescale"]


def boft(out: int, ins: int, *kernel: int) -> Tensors:
    return {"oft_blocks": random(3, out // 4, 4, 4), "alpha": torch.tensor(0.0)}


def boft_formula(weight: Tensor, t: Tensors) -> Tensor:
    """Stage m turns four channels at a time: those of two pairs of half blocks, 2^m apart."""
    rows = weight.flatten(1).clone()
    for level, turns in enumerate(cayley(t["oft_blocks"])):
        stride = 2 * 2**level
        groups = [
            [start + within, start + within + stride]
            for start in range(0, len(rows), 2 * stride)
            for within in range(stride)
        ]
        quads = [groups[index] + groups[index + 1] for index in range(0, len(groups), 2)]
        turned = rows.clone()
        for quad, turn in zip(quads, turns, strict=True):
            turned[quad] = turn @ rows[quad]
        rows = turned
    return rows.reshape(weight.shape)


def dora_rows(out: int, ins: int, *kernel: int) -> Tensors:
    ones = [1] * (1 + len(kernel))
    return lora(out, ins, *kernel) | {"dora_scale": random(out, *ones, seed=9).abs() + 0.5}


def dora_rows_formula(weight: Tensor, t: Tensors) -> Tensor:
    changed = lora_formula(weight, t)
    norms = torch.stack([row.norm() for row in changed])
    scale = t["dora_scale"].flatten() / norms
    return torch.stack([row * scale[index] for index, row in enumerate(changed)])


def dora_columns(out: int, ins: int, *kernel: int) -> Tensors:
    ones = [1] * len(kernel)
    return lora(out, ins, *kernel) | {"dora_scale": random(1, ins, *ones, seed=9).abs() + 0.5}


def dora_columns_formula(weight: Tensor, t: Tensors) -> Tensor:
    changed = lora_formula(weight, t)
    columns = [
        changed[:, index] * t["dora_scale"].flatten()[index] / changed[:, index].norm()
        for index in range(changed.shape[1])
    ]
    return torch.stack(columns, dim=1)


EVERYWHERE: dict[str, tuple[Callable[..., Tensors], Formula]] = {
    "LoRA": (lora, lora_formula),
    "LoHa": (loha, loha_formula),
    "LoKr, both factors whole": (lokr_whole, lokr_whole_formula),
    "LoKr, both factors products": (lokr_factored, lokr_factored_formula),
    "IA3 on outputs": (ia3_out, ia3_out_formula),
    "IA3 on inputs": (ia3_in, ia3_in_formula),
    "full": (full, full_formula),
    "GLoRA": (glora, glora_formula),
    "OFT": (oft, oft_formula),
    "OFT, bound and rescaled": (bound_oft, bound_oft_formula),
    "BOFT": (boft, boft_formula),
    "DoRA by rows": (dora_rows, dora_rows_formula),
    "DoRA by columns": (dora_columns, dora_columns_formula),
}
CONVOLUTIONS_ONLY = {
    "LoRA in CP form": (tucker, tucker_formula),
    "LoHa with cores": (loha_core, loha_core_formula),
    "LoKr with a core": (lokr_core, lokr_core_formula),
}
CASES = [
    *((name, layer) for name in EVERYWHERE for layer in (LINEAR, CONVOLUTION)),
    *((name, CONVOLUTION) for name in CONVOLUTIONS_ONLY),
]


def write(path: Path, layer: str, tensors: Tensors) -> Path:
    key = "lora_unet_" + layer.replace(".", "_")
    save_file({f"{key}.{name}": t.contiguous() for name, t in tensors.items()}, path)
    return path


@pytest.mark.parametrize("multiplier", [1.0, -0.6])
@pytest.mark.parametrize(("name", "layer"), CASES)
def test_weight_is_that_of_the_formula(
    tiny15: StableDiffusion, tmp_path: Path, name: str, layer: str, multiplier: float
) -> None:
    make, formula = (EVERYWHERE | CONVOLUTIONS_ONLY)[name]
    module = tiny15.networks.unet.get_submodule(layer)
    weight = module.weight.detach().clone()
    tensors = make(*weight.shape)
    path = write(tmp_path / "one.safetensors", layer, tensors)
    whole = formula(weight.double(), {key: value.double() for key, value in tensors.items()})
    expected = weight + multiplier * (whole - weight)
    (fit,) = put_on(tiny15, [Use(read_adapter(path), 1.0, multiplier)])
    try:
        assert fit.is_worn
        assert (expected - weight).abs().max() > 0.01
        # float32 sums of some hundred products
        torch.testing.assert_close(module.weight.double(), expected, rtol=1e-4, atol=1e-5)
    finally:
        take_off(tiny15)
    assert torch.equal(module.weight, weight)


def test_norm_changes_weight_and_bias(tiny15: StableDiffusion, tmp_path: Path) -> None:
    module = tiny15.networks.unet.get_submodule(NORM)
    weight, bias = module.weight.detach().clone(), module.bias.detach().clone()
    tensors = {"w_norm": random(len(weight), seed=1), "b_norm": random(len(weight), seed=2)}
    path = write(tmp_path / "norm.safetensors", NORM, tensors)
    put_on(tiny15, [Use(read_adapter(path), unet=0.5)])
    try:
        torch.testing.assert_close(module.weight.data, weight + 0.5 * tensors["w_norm"])
        torch.testing.assert_close(module.bias.data, bias + 0.5 * tensors["b_norm"])
    finally:
        take_off(tiny15)
    assert torch.equal(module.bias, bias)


def test_bias_is_made_where_there_is_none(tiny15: StableDiffusion, tmp_path: Path) -> None:
    module = tiny15.networks.unet.get_submodule(LINEAR)
    assert module.bias is None
    tensors = full(*module.weight.shape) | {"diff_b": random(module.weight.shape[0])}
    path = write(tmp_path / "full.safetensors", LINEAR, tensors)
    put_on(tiny15, [Use(read_adapter(path), unet=0.5)])
    try:
        torch.testing.assert_close(module.bias.data, 0.5 * tensors["diff_b"])
    finally:
        take_off(tiny15)
    assert module.bias is None


def test_without_alpha_the_product_is_whole() -> None:
    tensors = lora(8, 6)
    del tensors["alpha"]
    patch = layer_patch(tensors).weight
    assert patch is not None
    expected = tensors["lora_up.weight"] @ tensors["lora_down.weight"]
    torch.testing.assert_close(patch.delta(torch.zeros(8, 6)), expected)


def test_dyn_uses_the_first_ranks() -> None:
    tensors = lora(8, 6)
    patch = layer_patch(tensors).weight
    assert patch is not None
    expected = ALPHA / RANK * tensors["lora_up.weight"][:, :2] @ tensors["lora_down.weight"][:2]
    torch.testing.assert_close(patch.delta(torch.zeros(8, 6), rank=2), expected)


@pytest.mark.parametrize("name", [*EVERYWHERE, *CONVOLUTIONS_ONLY])
def test_other_shapes_do_not_fit(name: str) -> None:
    make, _ = (EVERYWHERE | CONVOLUTIONS_ONLY)[name]
    patch = layer_patch(make(32, 16, 3, 3)).weight
    assert patch is not None
    assert patch.fits(torch.Size((32, 16, 3, 3)))
    assert not patch.fits(torch.Size((40, 24, 3, 3)))
    assert not patch.fits(torch.Size((24,)))
