"""Hypernetworks: files, and what they do to the context of attention."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from modules.core.errors import ModelError
from modules.model_manager.hypernetworks import (
    Hypernetwork,
    hypernetworks_on,
    read_hypernetwork,
)
from modules.pipelines.sd import StableDiffusion
from modules.sampling.conditioning import Conditioning

WIDTH = 32


def chain(seed: int, *sizes: int, norm: bool = False) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    result, number = {}, 0
    for before, after in itertools.pairwise(sizes):
        result[f"linear.{number}.weight"] = torch.randn(after, before, generator=generator) * 0.1
        result[f"linear.{number}.bias"] = torch.randn(after, generator=generator) * 0.1
        number += 2  # where a trained file has its activation
        if norm:
            result[f"linear.{number}.weight"] = torch.randn(after, generator=generator)
            result[f"linear.{number}.bias"] = torch.randn(after, generator=generator)
            number += 1
    return result


def content(**more: Any) -> dict[Any, Any]:
    return {"name": "one", WIDTH: (chain(1, 32, 64, 32), chain(2, 32, 64, 32)), **more}


def saved(folder: Path, value: Any) -> Path:
    path = folder / "one.pt"
    torch.save(value, path)
    return path


def read(folder: Path, value: Any) -> Hypernetwork:
    return read_hypernetwork(saved(folder, value), allow_pickles=True)


def layers(part: dict[str, torch.Tensor], x: torch.Tensor, *numbers: int) -> torch.Tensor:
    (one,) = numbers
    return torch.nn.functional.linear(x, part[f"linear.{one}.weight"], part[f"linear.{one}.bias"])


def test_fixture_is_read(models: Path) -> None:
    network = read_hypernetwork(models / "hypernetworks" / "t15hn.pt", allow_pickles=True)
    assert network.name == "t15hn" and list(network.chains) == [32]


def test_plain_archive_needs_no_permission_and_an_old_pickle_does(tmp_path: Path) -> None:
    path = saved(tmp_path, content())
    assert list(read_hypernetwork(path, allow_pickles=False).chains) == [WIDTH]
    torch.save(content(), path, _use_new_zipfile_serialization=False)
    with pytest.raises(ModelError, match="pickle"):
        read_hypernetwork(path, allow_pickles=False)
    assert list(read_hypernetwork(path, allow_pickles=True).chains) == [WIDTH]


@pytest.mark.parametrize("activation", ["linear", "relu", "swish", "tanh"])
@pytest.mark.parametrize("ends_active", [False, True])
def test_activation_stands_between_the_layers(
    tmp_path: Path, activation: str, ends_active: bool
) -> None:
    function = {
        "linear": lambda x: x,
        "relu": torch.relu,
        "swish": torch.nn.functional.hardswish,
        "tanh": torch.tanh,
    }[activation]
    network = read(tmp_path, content(activation_func=activation, activate_output=ends_active))
    x = torch.randn(3, 32)
    part = chain(2, 32, 64, 32)
    expected = layers(part, function(layers(part, x, 0)), 2)
    expected = function(expected) if ends_active else expected
    torch.testing.assert_close(network.chains[WIDTH][1](x), expected)


def test_norms_stand_behind_the_activation(tmp_path: Path) -> None:
    part = chain(3, 32, 64, 32, norm=True)
    network = read(tmp_path, {WIDTH: (part, part), "activation_func": "relu"})
    x = torch.randn(3, 32)
    hidden = torch.relu(layers(part, x, 0))
    hidden = torch.nn.functional.layer_norm(
        hidden, (64,), part["linear.2.weight"], part["linear.2.bias"]
    )
    hidden = layers(part, hidden, 3)
    expected = torch.nn.functional.layer_norm(
        hidden, (32,), part["linear.5.weight"], part["linear.5.bias"]
    )
    torch.testing.assert_close(network.chains[WIDTH][0](x), expected)


def test_old_names_and_safetensors_are_the_same_network(tmp_path: Path) -> None:
    part = chain(1, 32, 64, 32)
    old = {
        name.replace("linear.0", "linear1").replace("linear.2", "linear2"): tensor
        for name, tensor in part.items()
    }
    plain = {f"{WIDTH}.{place}.{name}": t.clone() for place in (0, 1) for name, t in part.items()}
    flat = tmp_path / "flat.safetensors"
    save_file(plain, flat, metadata={"activation_func": "linear"})
    x = torch.randn(3, 32)
    networks = [
        read(tmp_path, {WIDTH: (part, part)}),
        read(tmp_path, {WIDTH: (old, old)}),
        read_hypernetwork(flat, allow_pickles=False),
    ]
    results = [network.chains[WIDTH][0](x) for network in networks]
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1, 2], "is no hypernetwork"),
        ({"name": "x"}, "is no hypernetwork"),
        (content(activation_func="magic"), "unknown activation magic"),
        ({WIDTH: (chain(1, 32, 64, 16), chain(1, 32, 64, 32))}, "do not fit together"),
        ({WIDTH: (chain(1, 16, 32), chain(1, 32, 32))}, "do not fit together"),
        ({WIDTH: ({}, {})}, "do not fit together"),
        ({WIDTH: ({"linear.0.bias": torch.ones(32)},) * 2}, "do not fit together"),
        ({WIDTH: ({"linear.0.weight": torch.full((32, 32), torch.nan)},) * 2}, "not numbers"),
    ],
)
def test_damaged_file_is_named(tmp_path: Path, value: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        read(tmp_path, value)
    assert "one.pt" in str(caught.value)


def predict(model: StableDiffusion) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 4, 8, 8, generator=generator)
    cond = Conditioning(torch.randn(1, 77, 32, generator=generator), None, None)
    return model.predict(x, torch.tensor([500.0]), cond)


def test_context_is_turned_inside_only(tiny15: StableDiffusion, tmp_path: Path) -> None:
    one, two = read(tmp_path, content()), read(tmp_path, content())
    seen = []
    layer = tiny15.networks.unet.get_submodule(
        "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    )
    before = predict(tiny15)
    with hypernetworks_on(tiny15, [(one, 0.5), (two, -1.0)]):
        handle = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        assert not torch.equal(predict(tiny15), before)
        handle.remove()
    assert torch.equal(predict(tiny15), before)
    generator = torch.Generator().manual_seed(0)
    torch.randn(1, 4, 8, 8, generator=generator)
    context = torch.randn(1, 77, 32, generator=generator)
    keys = one.chains[WIDTH][0]
    context = context + 0.5 * keys(context)
    context = context - keys(context)
    torch.testing.assert_close(seen[0], context)


def test_multiplier_of_zero_changes_nothing(tiny15: StableDiffusion, tmp_path: Path) -> None:
    before = predict(tiny15)
    with hypernetworks_on(tiny15, [(read(tmp_path, content()), 0.0)]):
        assert torch.equal(predict(tiny15), before)


def test_hooks_are_gone_after_an_exception(tiny15: StableDiffusion, tmp_path: Path) -> None:
    network = read(tmp_path, content())
    with pytest.raises(KeyboardInterrupt), hypernetworks_on(tiny15, [(network, 1.0)]):
        raise KeyboardInterrupt
    assert not any(module._forward_pre_hooks for module in tiny15.networks.unet.modules())
