"""Adapter files: what is in them, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from modules.core.errors import ModelError
from modules.model_manager.adapters import read_adapter
from modules.model_manager.adapters.layouts import UnknownLayout, layer_patch, split_name
from modules.model_manager.adapters.patches import LowRank
from modules.pipelines.spec import Family

LAYER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


def tensors(width: int = 32, layer: str = LAYER) -> dict[str, torch.Tensor]:
    return {
        f"{layer}.lora_down.weight": torch.ones(2, width),
        f"{layer}.lora_up.weight": torch.ones(32, 2),
    }


def saved(folder: Path, values: dict[str, torch.Tensor], **metadata: str) -> Path:
    path = folder / "one.safetensors"
    save_file(values, path, metadata=metadata or None)
    return path


def scale_of(path: Path) -> float:
    (patch,) = read_adapter(path).layers.values()
    assert isinstance(patch.weight, LowRank)
    return patch.weight.scale


@pytest.mark.parametrize("cut", [0, 4, 100, -3])
def test_truncated_file_is_named(tmp_path: Path, cut: int) -> None:
    path = saved(tmp_path, tensors())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ModelError, match=r"one\.safetensors"):
        read_adapter(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_values_that_are_no_numbers_are_refused(
    tmp_path: Path, value: float, dtype: torch.dtype
) -> None:
    broken = {name: tensor.to(dtype) for name, tensor in tensors().items()}
    broken[f"{LAYER}.lora_up.weight"][3, 1] = value
    with pytest.raises(ModelError, match=r"not numbers.*lora_up"):
        read_adapter(saved(tmp_path, broken))


def test_large_half_precision_values_are_numbers(tmp_path: Path) -> None:
    large = {name: torch.full_like(tensor.half(), 60000) for name, tensor in tensors().items()}
    assert read_adapter(saved(tmp_path, large)).layers


def test_checkpoint_is_no_lora(models: Path) -> None:
    with pytest.raises(ModelError, match="no LoRA in a known layout"):
        read_adapter(models / "VAE" / "othervae.safetensors")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_adapter(tmp_path / "gone.safetensors")


def test_pickle_is_read_where_it_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "one.pt"
    torch.save(tensors(), path)
    with pytest.raises(ModelError, match="pickle"):
        read_adapter(path)
    assert len(read_adapter(path, allow_pickles=True).layers) == 1


def test_unknown_tensors_are_counted(tmp_path: Path) -> None:
    odd = {"something.else": torch.ones(2), "lora_unet_x.lora_up.weight": torch.ones(2, 2)}
    adapter = read_adapter(saved(tmp_path, tensors() | odd))
    assert (len(adapter.layers), adapter.unknown) == (1, 2)


@pytest.mark.parametrize(
    ("down", "up"),
    [
        ("lora_A.weight", "lora_B.weight"),
        ("lora_A.default.weight", "lora_B.default.weight"),
        ("lora.down.weight", "lora.up.weight"),
        ("lora_linear_layer.down.weight", "lora_linear_layer.up.weight"),
    ],
)
def test_diffusers_names_are_those_of_a_lora(tmp_path: Path, down: str, up: str) -> None:
    layer = "unet.mid_block.attentions.0.proj_in"
    values = {f"{layer}.{down}": torch.ones(2, 32), f"{layer}.{up}": torch.ones(32, 2)}
    adapter = read_adapter(saved(tmp_path, values))
    assert list(adapter.layers) == ["unet_mid_block_attentions_0_proj_in"]
    assert adapter.unknown == 0


def test_attention_processors_names_are_those_of_a_lora(tmp_path: Path) -> None:
    layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora"
    values = {f"{layer}.down.weight": torch.ones(2, 32), f"{layer}.up.weight": torch.ones(32, 2)}
    adapter = read_adapter(saved(tmp_path, values))
    (name,) = adapter.layers
    assert name == "unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0"


def test_scale_is_alpha_over_rank(tmp_path: Path) -> None:
    assert scale_of(saved(tmp_path, tensors())) == 1.0
    alpha = {f"{LAYER}.alpha": torch.tensor(0.5)}
    assert scale_of(saved(tmp_path, tensors() | alpha)) == 0.25


def test_peft_keeps_alpha_in_the_metadata(tmp_path: Path) -> None:
    layer = "unet.mid_block.attentions.0.proj_in"
    values = {
        f"{layer}.lora_A.weight": torch.ones(2, 32),
        f"{layer}.lora_B.weight": torch.ones(32, 2),
    }
    config = json.dumps({"unet.lora_alpha": 8, "unet.r": 2})
    assert scale_of(saved(tmp_path, values, lora_adapter_metadata=config)) == 4.0
    assert scale_of(saved(tmp_path, values, lora_adapter_metadata="{damaged")) == 1.0


@pytest.mark.parametrize(
    ("metadata", "family"),
    [
        ({"ss_base_model_version": "sd_v1"}, Family.SD1),
        ({"ss_base_model_version": "sd_v2_768_v"}, Family.SD2),
        ({"ss_base_model_version": "sdxl_base_v1-0"}, Family.SDXL),
        ({"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, Family.SDXL),
        ({"modelspec.architecture": "stable-diffusion-v1/lora"}, Family.SD1),
        ({}, None),
    ],
)
def test_family_is_what_the_file_says(
    tmp_path: Path, metadata: dict[str, str], family: Family | None
) -> None:
    assert read_adapter(saved(tmp_path, tensors(), **metadata)).family is family


@pytest.mark.parametrize(
    ("width", "family"),
    [(768, Family.SD1), (1024, Family.SD2), (2048, Family.SDXL), (1280, Family.SDXL_REFINER)],
)
def test_family_is_told_by_the_width_of_the_text(
    tmp_path: Path, width: int, family: Family
) -> None:
    assert read_adapter(saved(tmp_path, tensors(width))).family is family


def test_bundled_embeddings_are_named(tmp_path: Path) -> None:
    bundle = {
        "bundle_emb.mine.string_to_param.*": torch.ones(3, 32),
        "bundle_emb.two.clip_l": torch.ones(2, 32),
        "bundle_emb.two.clip_g": torch.ones(2, 64),
    }
    adapter = read_adapter(saved(tmp_path, tensors() | bundle))
    assert {name: [tuple(v.shape) for v in rows] for name, rows in adapter.bundled.items()} == {
        "mine": [(3, 32)],
        "two": [(2, 32), (2, 64)],
    }
    assert len(adapter.layers) == 1 and adapter.unknown == 0


@pytest.mark.parametrize(
    "names", [("alpha",), ("lora_up.weight",), ("hada_w1_a", "hada_w1_b"), ("dora_scale",)]
)
def test_pieces_of_a_layout_are_none(names: tuple[str, ...]) -> None:
    with pytest.raises(UnknownLayout):
        layer_patch({name: torch.ones(4, 4) for name in names})


@pytest.mark.parametrize("name", ["nothing", "lora_unet_x.unknown", "a.b.c"])
def test_unknown_tensors_have_no_layer(name: str) -> None:
    assert split_name(name) is None


def test_lora_of_a_convolution_fits_a_linear_layer_of_the_same_size() -> None:
    """SD2's and SDXL's projections are linear, in some files with a kernel of 1 × 1."""
    patch = layer_patch(
        {"lora_down.weight": torch.ones(2, 6, 1, 1), "lora_up.weight": torch.ones(8, 2, 1, 1)}
    ).weight
    assert patch is not None
    assert patch.fits(torch.Size((8, 6)))
    assert patch.delta(torch.zeros(8, 6)).shape == (8, 6)
