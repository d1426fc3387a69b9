"""What a model wears, and that it is bit for bit what it was when it takes that off."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from modules.model_manager.adapters import Use, put_on, read_adapter, take_off, text_key
from modules.model_manager.adapters.file import Adapter
from modules.model_manager.adapters.patcher import Wardrobe
from modules.model_manager.adapters.patches import LayerPatch, LowRank
from modules.model_manager.load import load_checkpoint
from modules.pipelines.base import EncodeOptions
from modules.pipelines.sd import StableDiffusion
from modules.pipelines.spec import Family

ONE = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
TWO = "mid_block.attentions.0.transformer_blocks.0.attn2.to_v"
TEXT = "encoder.layers.0.self_attn.q_proj"
CPU = torch.device("cpu")
Bits = dict[str, tuple[int, torch.Tensor]]


@pytest.fixture
def model(models: Path) -> StableDiffusion:
    return load_checkpoint(models / "Stable-diffusion" / "tiny15.safetensors", CPU, torch.float32)


@pytest.fixture
def half_model(models: Path) -> StableDiffusion:
    return load_checkpoint(models / "Stable-diffusion" / "tiny15.safetensors", CPU, torch.bfloat16)


def bits(model: StableDiffusion) -> Bits:
    """Identity and bytes of every parameter."""
    networks = (model.networks.unet, model.networks.vae, *model.networks.encoders)
    return {
        f"{place}.{name}": (id(weight), weight.detach().clone().view(torch.uint8))
        for place, network in enumerate(networks)
        for name, weight in network.named_parameters()
    }


def same(
    one: dict[str, tuple[int, torch.Tensor]], two: dict[str, tuple[int, torch.Tensor]]
) -> bool:
    return one.keys() == two.keys() and all(
        one[name][0] == two[name][0] and torch.equal(one[name][1], two[name][1]) for name in one
    )


def lora(path: Path, *layers: str, seed: int = 0, rank: int = 2, width: int = 0) -> Adapter:
    """A LoRA for these layers (UNet's, or the text encoder's where they begin with `encoder`)."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in layers:
        prefix = "lora_te_text_model_" if layer.startswith("encoder") else "lora_unet_"
        key = prefix + layer.replace(".", "_")
        size = width or (SIZES[layer][1])
        tensors[f"{key}.lora_down.weight"] = torch.randn(rank, size, generator=generator)
        up = torch.randn(SIZES[layer][0], rank, generator=generator)
        tensors[f"{key}.lora_up.weight"] = up * 0.1
    save_file(tensors, path)
    return read_adapter(path)


SIZES = {ONE: (128, 32), TWO: (128, 32), TEXT: (32, 32)}


def weight_of(model: StableDiffusion, layer: str) -> torch.Tensor:
    network = model.networks.encoders[0].model if layer is TEXT else model.networks.unet
    weight = network.get_submodule(layer).weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach()


def test_sizes_are_those_of_the_model(model: StableDiffusion) -> None:
    assert {layer: tuple(weight_of(model, layer).shape) for layer in SIZES} == SIZES


@pytest.mark.parametrize("name", ["t15lora", "t15loha", "t15lokr", "t15ia3"])
def test_model_is_bit_for_bit_what_it_was(model: StableDiffusion, models: Path, name: str) -> None:
    before = bits(model)
    adapter = read_adapter(models / "Lora" / f"{name}.safetensors")
    for multiplier in (1.0, 0.3, 0.3, -2.0):
        put_on(model, [Use(adapter, multiplier, multiplier)])
        assert not same(bits(model), before)
        take_off(model)
        assert same(bits(model), before)


def test_several_add_up_in_any_order(model: StableDiffusion, tmp_path: Path) -> None:
    one, two = (
        lora(tmp_path / "1.safetensors", ONE, seed=1),
        lora(tmp_path / "2.safetensors", ONE, TWO, seed=2),
    )
    own = weight_of(model, ONE).clone()
    changes = []
    for uses in ([Use(one)], [Use(two)], [Use(one), Use(two)], [Use(two), Use(one)]):
        put_on(model, uses)
        changes.append(weight_of(model, ONE) - own)
    take_off(model)
    torch.testing.assert_close(changes[2], changes[0] + changes[1])
    torch.testing.assert_close(changes[3], changes[2])


def test_same_adapter_twice_is_once_with_the_sum(model: StableDiffusion, tmp_path: Path) -> None:
    one = lora(tmp_path / "1.safetensors", ONE)
    put_on(model, [Use(one, unet=0.25), Use(one, unet=0.5)])
    twice = weight_of(model, ONE).clone()
    put_on(model, [Use(one, unet=0.75)])
    torch.testing.assert_close(weight_of(model, ONE), twice)


def test_te_and_unet_have_their_own_weights(model: StableDiffusion, tmp_path: Path) -> None:
    adapter = lora(tmp_path / "1.safetensors", ONE, TEXT)
    unet, text = weight_of(model, ONE).clone(), weight_of(model, TEXT).clone()
    put_on(model, [Use(adapter, te=0.0, unet=1.0)])
    assert not torch.equal(weight_of(model, ONE), unet)
    assert torch.equal(weight_of(model, TEXT), text)
    put_on(model, [Use(adapter, te=1.0, unet=0.0)])
    assert torch.equal(weight_of(model, ONE), unet)
    assert not torch.equal(weight_of(model, TEXT), text)


def test_what_stays_is_not_computed_again(model: StableDiffusion, tmp_path: Path) -> None:
    one = lora(tmp_path / "1.safetensors", ONE, seed=1)
    two = lora(tmp_path / "2.safetensors", TWO, seed=2)
    put_on(model, [Use(one), Use(two)])
    assert isinstance(model.wardrobe, Wardrobe)
    first = {id(one.recipe) for one in model.wardrobe.changed.values()}
    take_off(model)
    put_on(model, [Use(one), Use(two)])
    assert {id(one.recipe) for one in model.wardrobe.changed.values()} == first
    put_on(model, [Use(one), Use(two, 0.5, 0.5)])
    again = {id(one.recipe) for one in model.wardrobe.changed.values()}
    assert len(again & first) == 1


def test_layers_that_nothing_changes_any_more_are_forgotten(
    model: StableDiffusion, tmp_path: Path
) -> None:
    put_on(model, [Use(lora(tmp_path / "1.safetensors", ONE, TWO))])
    assert isinstance(model.wardrobe, Wardrobe)
    assert len(model.wardrobe.changed) == 2
    put_on(model, [Use(lora(tmp_path / "2.safetensors", TWO))])
    assert len(model.wardrobe.changed) == 1
    put_on(model, [])
    assert not model.wardrobe.changed


def test_moving_the_model_forgets_what_it_wore(model: StableDiffusion, tmp_path: Path) -> None:
    put_on(model, [Use(lora(tmp_path / "1.safetensors", ONE))])
    take_off(model)
    model.move("cpu")
    assert model.wardrobe is None


def test_changed_weights_are_counted_worn_or_kept(model: StableDiffusion, tmp_path: Path) -> None:
    before = model.size_bytes
    weights = dict(model.networks.unet.named_parameters())
    changed = sum(weights[f"{name}.weight"].nbytes for name in (ONE, TWO))
    put_on(model, [Use(lora(tmp_path / "1.safetensors", ONE, TWO))])
    assert (model.size_bytes, model.spare_bytes) == (before + changed, changed)
    take_off(model)
    assert (model.size_bytes, model.spare_bytes) == (before + changed, changed)
    model.shed()
    assert (model.size_bytes, model.spare_bytes) == (before, 0)


class _Failing:
    """A patch that runs out of memory."""

    def fits(self, shape: torch.Size) -> bool:
        return True

    def delta(self, weight: torch.Tensor, rank: int | None = None) -> torch.Tensor:
        raise torch.OutOfMemoryError("no memory left")


def test_failure_half_way_leaves_the_model_bare(model: StableDiffusion, tmp_path: Path) -> None:
    good = lora(tmp_path / "1.safetensors", ONE, TWO)
    before = bits(model)
    put_on(model, [Use(good)])
    key = "unet_" + TWO.replace(".", "_")
    assert key in good.layers
    bad = dataclasses.replace(good, layers={**good.layers, key: LayerPatch(_Failing())})
    with pytest.raises(torch.OutOfMemoryError):
        put_on(model, [Use(bad, unet=0.5)])
    assert same(bits(model), before)
    put_on(model, [Use(good, unet=0.5)])
    changed = weight_of(model, ONE).clone()
    take_off(model)
    assert same(bits(model), before)
    put_on(model, [Use(good, unet=0.5)])
    assert torch.equal(weight_of(model, ONE), changed)


def test_half_precision_is_as_exact_as_it_can_be(
    half_model: StableDiffusion, tmp_path: Path
) -> None:
    adapter = lora(tmp_path / "1.safetensors", ONE)
    own = weight_of(half_model, ONE).clone()
    (patch,) = adapter.layers.values()
    assert patch.weight is not None
    exact = own.float() + patch.weight.delta(own.float())
    put_on(half_model, [Use(adapter)])
    changed = weight_of(half_model, ONE)
    assert changed.dtype == torch.bfloat16
    # bfloat16 keeps 8 bits: factors, product and sum may each be off by 2^-8 of itself
    assert isinstance(patch.weight, LowRank)
    products = patch.weight.up.abs().float() @ patch.weight.down.abs().float()
    assert ((changed.float() - exact).abs() <= 2**-7 * (products + exact.abs())).all()
    take_off(half_model)
    assert torch.equal(weight_of(half_model, ONE), own)


def test_8_bit_weights_are_changed_in_the_computing_format(models: Path, tmp_path: Path) -> None:
    model = load_checkpoint(
        models / "Stable-diffusion" / "tiny15.safetensors", CPU, torch.float32, fp8="Enable"
    )
    own = weight_of(model, ONE)
    assert own.dtype == torch.float8_e4m3fn
    adapter = lora(tmp_path / "1.safetensors", ONE)
    (patch,) = adapter.layers.values()
    assert patch.weight is not None
    put_on(model, [Use(adapter)])
    changed = weight_of(model, ONE)
    assert changed.dtype == torch.float32
    torch.testing.assert_close(changed, own.float() + patch.weight.delta(own.float()))
    take_off(model)
    assert weight_of(model, ONE).data_ptr() == own.data_ptr()


def test_adapter_of_another_width_is_left_out(model: StableDiffusion, tmp_path: Path) -> None:
    before = bits(model)
    wide = lora(tmp_path / "1.safetensors", ONE, TWO, width=1024)
    assert wide.family is Family.SD2
    (fit,) = put_on(model, [Use(wide)])
    assert (fit.fitting, fit.total, fit.is_worn) == (0, 2, False)
    assert same(bits(model), before)
    assert text_key([Use(wide)], [fit]) == ()


def test_text_key_tells_what_changes_prompts(model: StableDiffusion, tmp_path: Path) -> None:
    with_text = lora(tmp_path / "1.safetensors", ONE, TEXT)
    without = lora(tmp_path / "2.safetensors", ONE)

    def key(*uses: Use) -> object:
        return text_key(uses, put_on(model, uses))

    assert key(Use(without)) == key(Use(with_text, te=0.0)) == key() == ()
    assert key(Use(with_text)) == key(Use(with_text, unet=0.0), Use(without))
    assert key(Use(with_text)) != key(Use(with_text, te=0.5))


def test_prompts_are_encoded_as_before_when_it_is_off(model: StableDiffusion, models: Path) -> None:
    adapter = read_adapter(models / "Lora" / "t15lora.safetensors")
    (before,) = model.encode_prompts(["a fox"], EncodeOptions())
    put_on(model, [Use(adapter)])
    (inside,) = model.encode_prompts(["a fox"], EncodeOptions())
    take_off(model)
    (after,) = model.encode_prompts(["a fox"], EncodeOptions())
    assert not torch.equal(before.crossattn, inside.crossattn)
    assert torch.equal(before.crossattn, after.crossattn)
