"""Names of layers in adapter files, against the names that published checkpoints and files have."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from modules.model_manager.adapters.layers import Layers, canonical_name
from modules.model_manager.adapters.ldm_names import ldm_names
from modules.model_manager.architecture import unet_config
from modules.model_manager.load import load_checkpoint
from modules.pipelines.sd import StableDiffusion

HEADERS = Path(__file__).parents[1] / "data" / "headers"
PREFIX = "model.diffusion_model."
CPU = torch.device("cpu")


@pytest.mark.parametrize(("name", "heads"), [("sd15", 8), ("sdxl-base", None)])
def test_every_weight_of_a_published_unet_has_its_ldm_name(name: str, heads: int | None) -> None:
    rows = json.loads(gzip.decompress((HEADERS / f"{name}.json.gz").read_bytes()))
    shapes = {
        key.removeprefix(PREFIX): tuple(row["shape"] if isinstance(row, dict) else row[1])
        for key, row in rows.items()
        if key.startswith(PREFIX)
    }
    with torch.device("meta"):
        unet = UNet2DConditionModel(**unet_config(shapes, heads, None if heads else 64))
    named = ldm_names(unet)
    weights = {f"{ldm}.weight" for ldm in named.values()}
    assert weights == {key for key in shapes if key.endswith(".weight")}
    for path, ldm in named.items():
        assert tuple(unet.get_submodule(path).weight.shape) == shapes[f"{ldm}.weight"]


UNET = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
TEXT = "encoder.layers.0.self_attn.q_proj"
SD1_NAMES = {
    "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k": UNET,
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k": UNET,
    "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k": UNET,
    "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora": UNET,
    "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k": UNET,
    "base_model.model.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k": UNET,
    "diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k": UNET,
    "lycoris_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k": UNET,
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj": TEXT,
    "lora_te1_text_model_encoder_layers_0_self_attn_q_proj": TEXT,
    "text_encoder.text_model.encoder.layers.0.self_attn.q_proj": TEXT,
}


@pytest.mark.parametrize("name", SD1_NAMES)
def test_layer_of_sd1_is_found_by_every_name(tiny15: StableDiffusion, name: str) -> None:
    path = SD1_NAMES[name]
    networks = tiny15.networks
    wanted = networks.unet if path is UNET else networks.encoders[0].model
    layer = Layers(tiny15).find(canonical_name(name))
    assert layer is not None
    assert layer.module is wanted.get_submodule(path)
    assert layer.part == ("unet" if path is UNET else "text")


def test_both_text_encoders_of_sdxl_are_told_apart(twins: dict[str, Path]) -> None:
    sdxl = load_checkpoint(twins["sdxl"], CPU, torch.float32)
    layers = Layers(sdxl)
    one, two = (encoder.model.get_submodule(TEXT) for encoder in sdxl.networks.encoders)
    for name, module in (
        ("lora_te1_text_model_encoder_layers_0_self_attn_q_proj", one),
        ("text_encoder.text_model.encoder.layers.0.self_attn.q_proj", one),
        ("lora_te2_text_model_encoder_layers_0_self_attn_q_proj", two),
        ("text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj", two),
    ):
        layer = layers.find(canonical_name(name))
        assert layer is not None and layer.module is module
    assert layers.find("te2_text_projection") is not None
    old = canonical_name("lora_te_text_model_encoder_layers_0_self_attn_q_proj")
    assert layers.find(old) is None


def test_unknown_name_is_no_layer(tiny15: StableDiffusion) -> None:
    assert Layers(tiny15).find(canonical_name("lora_unet_nothing_0")) is None


@pytest.mark.parametrize("name", ["t15lora", "t15loha", "t15lokr", "t15ia3"])
def test_every_layer_of_a_file_of_the_family_fits(
    tiny15: StableDiffusion, models: Path, name: str
) -> None:
    from modules.model_manager.adapters import Use, put_on, read_adapter, take_off

    adapter = read_adapter(models / "Lora" / f"{name}.safetensors")
    (fit,) = put_on(tiny15, [Use(adapter)])
    take_off(tiny15)
    assert fit.fitting == fit.total == len(adapter.layers) > 30
    assert adapter.unknown == 0


def test_one_encoder_has_one_layer_under_both_names(tiny15: StableDiffusion) -> None:
    layers = Layers(tiny15)
    name = "text_model_encoder_layers_0_self_attn_q_proj"
    found = {layers.find(canonical_name(f"{part}_{name}")) for part in ("lora_te", "lora_te1")}
    assert len(found) == 1 and None not in found
