"""SDXL against diffusers' own SDXL UNet, which computes its size vector at every step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from diffusers.models.embeddings import get_timestep_embedding
from safetensors.torch import load_file

from modules.model_manager.load import load_checkpoint
from modules.pipelines.base import EncodeOptions
from modules.pipelines.sd import StableDiffusion
from modules.pipelines.sdxl import sinusoids
from tools.make_fixtures import tiny, write_checkpoint

OPTIONS = EncodeOptions(width=832, height=1216, crop_top=8, crop_left=16)
# The same arithmetic; the vector's first layer sums in one go.
ROUNDING = 1e-5


def test_sinusoids_are_diffusers() -> None:
    numbers = torch.tensor([0.0, 8.0, 1216.0])
    expected = get_timestep_embedding(numbers, 256, flip_sin_to_cos=True, downscale_freq_shift=0)
    assert torch.allclose(sinusoids(numbers, 256), expected, atol=1e-4)


def test_conditioning_has_both_encoders_and_the_vector(sdxl: StableDiffusion) -> None:
    conds = sdxl.encode_prompts(["a fox", "snow BREAK ice"], OPTIONS)
    for cond in conds:
        assert cond.crossattn.shape == (1, 154, 32 + 64)
        assert cond.vector is not None
        assert cond.vector.shape == (1, 64 + 6 * 256)


def test_vector_holds_pooled_text_then_sizes(sdxl: StableDiffusion) -> None:
    (cond,) = sdxl.encode_prompts(["a fox"], OPTIONS)
    assert cond.vector is not None
    encoder = sdxl.networks.encoders[1]
    (batch,) = encoder.chunker.batches(["a fox"], OPTIONS)
    _, pooled = encoder.encode(batch.tokens, 2)
    assert pooled is not None
    assert torch.equal(cond.vector[:, :64], pooled)
    sizes = torch.tensor([1216.0, 832, 8, 16, 1216, 832])
    assert torch.equal(cond.vector[0, 64:], sinusoids(sizes, 256).flatten())


def test_answer_is_that_of_diffusers_text_time_unet(sdxl: StableDiffusion, sdxl_file: Path) -> None:
    config = dict(sdxl.networks.unet.config)
    config |= {
        "class_embed_type": None,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
    }
    known = {k: v for k, v in config.items() if not k.startswith("_")}
    reference = UNet2DConditionModel.from_config(known)
    reference.load_state_dict(convert_ldm_unet_checkpoint(load_file(sdxl_file), known))
    (cond,) = sdxl.encode_prompts(["a fox"], OPTIONS)
    assert cond.vector is not None
    x = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = reference(
            x,
            500.0,
            cond.crossattn,
            added_cond_kwargs={
                "text_embeds": cond.vector[:, :64],
                "time_ids": torch.tensor([[1216.0, 832, 8, 16, 1216, 832]]),
            },
        ).sample
    assert torch.allclose(sdxl.predict(x, torch.tensor([500.0]), cond), expected, atol=ROUNDING)


def test_empty_negative_prompt_is_zeros_with_sizes(sdxl: StableDiffusion) -> None:
    negative = EncodeOptions(is_negative=True)
    (cond,) = sdxl.encode_prompts([""], negative)
    (positive,) = sdxl.encode_prompts([""], EncodeOptions())
    (worded,) = sdxl.encode_prompts(["blurry"], negative)
    assert cond.vector is not None
    assert positive.vector is not None
    assert not cond.crossattn.any()
    assert not cond.vector[:, :64].any()
    assert torch.equal(cond.vector[:, 64:], positive.vector[:, 64:])
    assert positive.crossattn.any()
    assert worded.crossattn.any()


def test_clip_skip_counts_only_where_the_option_says(sdxl: StableDiffusion) -> None:
    plain = sdxl.encode_prompts(["fox"], EncodeOptions())[0].crossattn
    ignored = sdxl.encode_prompts(["fox"], EncodeOptions(clip_skip=3))[0].crossattn
    heeded = sdxl.encode_prompts(["fox"], EncodeOptions(clip_skip=3, sdxl_clip_l_skip=True))[0]
    assert torch.equal(plain, ignored)
    assert not torch.equal(plain[..., :32], heeded.crossattn[..., :32])
    assert torch.equal(plain[..., 32:], heeded.crossattn[..., 32:])


@pytest.mark.parametrize("score", [6.0, 2.5])
def test_refiner_vector_ends_with_the_aesthetic_score(tmp_path: Path, score: float) -> None:
    path = write_checkpoint(tmp_path / "r.safetensors", tiny("sdxl-refiner"))
    refiner = load_checkpoint(path, torch.device("cpu"), torch.float32)
    (cond,) = refiner.encode_prompts(["a fox"], EncodeOptions(aesthetic_score=score))
    assert cond.vector is not None
    assert cond.vector.shape == (1, 64 + 5 * 256)
    assert torch.equal(cond.vector[0, -256:], sinusoids(torch.tensor([score]), 256)[0])
