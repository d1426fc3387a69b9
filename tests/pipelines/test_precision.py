from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch.nn.functional import scaled_dot_product_attention

from modules.pipelines.base import EncodeOptions
from modules.pipelines.precision import float32_attention
from modules.pipelines.sd import StableDiffusion


def tensors(dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(1, 2, 5, 8, generator=generator).to(dtype) for _ in range(3))


def test_attention_computes_in_float32_and_answers_in_its_own_format() -> None:
    query, key, value = tensors(torch.bfloat16)
    exact = scaled_dot_product_attention(query.float(), key.float(), value.float())
    with float32_attention():
        by_place = scaled_dot_product_attention(query, key, value)
        by_name = scaled_dot_product_attention(query=query, key=key, value=value)
    assert by_place.dtype == torch.bfloat16
    assert by_place.equal(exact.bfloat16()) and by_name.equal(by_place)


def test_other_functions_are_left_alone() -> None:
    (one, *_) = tensors(torch.bfloat16)
    with float32_attention():
        assert (one @ one.mT).dtype == torch.bfloat16


def test_network_in_half_precision_uses_it(tiny15: StableDiffusion) -> None:
    unet = copy.deepcopy(tiny15.networks.unet).to(torch.bfloat16)
    half = StableDiffusion(tiny15.spec, replace(tiny15.networks, unet=unet))
    cond = half.encode_prompts(["fox"], EncodeOptions())[0]
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = half.predict(x, torch.tensor([400.0]), cond)
    with float32_attention():
        wide = half.predict(x, torch.tensor([400.0]), cond)
    assert half.predict(x, torch.tensor([400.0]), cond).equal(plain)
    assert not wide.equal(plain)
    assert torch.allclose(wide, plain, atol=0.2)
