from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from transformers import CLIPTextConfig, CLIPTextModel

from modules.model_manager.architecture import text_config, unet_config, vae_config
from modules.model_manager.text_names import PROJECTION, rename_text_weights
from modules.pipelines.spec import SPECS, Family
from tools.make_fixtures import Plan, TextPlan, UNetPlan, shapes_of, tiny

# Published sizes (names and shapes equal those of the real files).
CLIP_L = TextPlan("cond_stage_model.transformer.text_model.", "clip", 768, 12, 3072)
OPENCLIP_H = TextPlan("cond_stage_model.model.", "openclip", 1024, 24, 4096, 1024)
XL_CLIP_L = replace(CLIP_L, prefix="conditioner.embedders.0.transformer.text_model.")
OPENCLIP_G = TextPlan("conditioner.embedders.1.model.", "openclip", 1280, 32, 5120, 1280)
VAE = (128, 256, 512, 512)
SD1_UNET = UNetPlan((320, 640, 1280, 1280), (1, 1, 1, 0), 1, 768, False)
FULL = {
    Family.SD1: Plan(SD1_UNET, (CLIP_L,), VAE),
    Family.SD2: Plan(replace(SD1_UNET, context=1024, is_linear=True), (OPENCLIP_H,), VAE),
    Family.SDXL: Plan(
        UNetPlan((320, 640, 1280), (0, 2, 10), 10, 2048, True, vector=2816),
        (XL_CLIP_L, OPENCLIP_G),
        VAE,
    ),
    Family.SDXL_REFINER: Plan(
        UNetPlan((384, 768, 1536, 1536), (0, 4, 4, 0), 4, 1280, True, vector=2560),
        (replace(OPENCLIP_G, prefix="conditioner.embedders.0.model."),),
        VAE,
    ),
}
PLANS = [pytest.param(f, plan, id=f"full-{f}") for f, plan in FULL.items()]
PLANS += [pytest.param(f, tiny(f.value, 9), id=f"tiny-inpaint-{f}") for f in FULL]


def meta(plan: Plan, prefix: str) -> dict[str, torch.Tensor]:
    return {
        name: torch.empty(shape, device="meta")
        for name, shape in shapes_of(plan).items()
        if name.startswith(prefix)
    }


def shapes(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def cut(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(("family", "plan"), PLANS)
def test_unet_built_from_shapes_has_the_files_tensors(family: Family, plan: Plan) -> None:
    prefix = "model.diffusion_model."
    weights = meta(plan, prefix)
    config = unet_config(shapes(cut(weights, prefix)), SPECS[family].heads, None)
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    assert shapes(unet.state_dict()) == shapes(convert_ldm_unet_checkpoint(weights, config))


@pytest.mark.parametrize(("family", "plan"), PLANS)
def test_vae_built_from_shapes_has_the_files_tensors(family: Family, plan: Plan) -> None:
    prefix = "first_stage_model."
    weights = meta(plan, prefix)
    config = vae_config(shapes(cut(weights, prefix)), SPECS[family].scale_factor)
    with torch.device("meta"):
        vae = AutoencoderKL(**config)
    assert shapes(vae.state_dict()) == shapes(convert_ldm_vae_checkpoint(weights, config))


@pytest.mark.parametrize(("family", "plan"), PLANS)
def test_text_encoders_built_from_shapes_have_the_files_tensors(family: Family, plan: Plan) -> None:
    for row in SPECS[family].encoders:
        renamed = rename_text_weights(cut(meta(plan, row.prefix), row.prefix), row.layout)
        renamed.pop(PROJECTION, None)
        with torch.device("meta"):
            model = CLIPTextModel(CLIPTextConfig(**text_config(shapes(renamed), row)))
        assert shapes(model.state_dict()) == shapes(renamed)


@pytest.mark.parametrize(
    ("family", "heads"),
    [
        (Family.SD1, [8, 8, 8, 8]),
        (Family.SD2, [5, 10, 20, 20]),
        (Family.SDXL, [5, 10, 20]),
        (Family.SDXL_REFINER, [6, 12, 24, 24]),
    ],
)
def test_attention_heads_are_the_published_ones(family: Family, heads: list[int]) -> None:
    prefix = "model.diffusion_model."
    config = unet_config(shapes(cut(meta(FULL[family], prefix), prefix)), SPECS[family].heads, None)
    assert config["attention_head_dim"] == heads


@pytest.mark.parametrize(("row", "plan", "heads"), [(0, XL_CLIP_L, 12), (1, OPENCLIP_G, 20)])
def test_text_encoder_heads_are_the_published_ones(row: int, plan: TextPlan, heads: int) -> None:
    spec = SPECS[Family.SDXL].encoders[row]
    weights = cut(meta(FULL[Family.SDXL], plan.prefix), plan.prefix)
    config = text_config(shapes(rename_text_weights(weights, spec.layout)), spec)
    assert config["num_attention_heads"] == heads
