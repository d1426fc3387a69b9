from __future__ import annotations

import pytest
import torch
from open_clip.model import CLIPTextCfg, _build_text_tower
from safetensors.torch import load_file

from modules.pipelines.base import EncodeOptions
from modules.pipelines.sd import StableDiffusion
from modules.pipelines.text_encoder import weigh
from modules.sampling.conditioning import Conditioning

# Sums in another order: float32 rounding of states of size about 1.
ROUNDING = 2e-5


def tokens_of(text: str, pipeline: StableDiffusion, number: int = 0) -> torch.Tensor:
    chunker = pipeline.networks.encoders[number].chunker
    return chunker.batches([text], EncodeOptions())[0].tokens


def test_last_state_is_that_of_transformers(tiny15: StableDiffusion) -> None:
    encoder = tiny15.networks.encoders[0]
    tokens = tokens_of("a photo of a fox", tiny15)
    states, pooled = encoder.encode(tokens, 1)
    with torch.no_grad():
        expected = encoder.model(tokens).last_hidden_state
    assert torch.allclose(states, expected, atol=ROUNDING)
    assert pooled is None


@pytest.mark.parametrize("skip", [2, 3, 12])
def test_clip_skip_takes_an_earlier_state_normalised(tiny15: StableDiffusion, skip: int) -> None:
    encoder = tiny15.networks.encoders[0]
    tokens = tokens_of("a photo of a fox", tiny15)
    states, _ = encoder.encode(tokens, skip)
    with torch.no_grad():
        hidden = encoder.model(tokens, output_hidden_states=True).hidden_states
        expected = encoder.model.final_layer_norm(hidden[-skip])
    assert torch.allclose(states, expected, atol=ROUNDING)


def test_openclip_encoder_equals_open_clips(sdxl: StableDiffusion, sdxl_file: str) -> None:
    prefix = "conditioner.embedders.1.model."
    stored = {
        name.removeprefix(prefix): tensor.float()
        for name, tensor in load_file(sdxl_file).items()
        if name.startswith(prefix) and not name.endswith("logit_scale")
    }
    width = stored["ln_final.weight"].shape[0]
    tower = _build_text_tower(
        64, CLIPTextCfg(width=width, heads=1, layers=3, mlp_ratio=2.0), quick_gelu=False
    ).eval()
    tower.load_state_dict(stored, strict=False)
    tokens = tokens_of("a photo of a fox", sdxl, 1)
    kept: list[torch.Tensor] = []
    tower.transformer.resblocks[-2].register_forward_hook(
        lambda module, inputs, output: kept.append(output)
    )
    with torch.no_grad():
        pooled = tower(tokens)
    states, own_pooled = sdxl.networks.encoders[1].encode(tokens, 2)
    assert own_pooled is not None
    assert torch.allclose(own_pooled, pooled, atol=ROUNDING)
    assert torch.allclose(states, kept[0].reshape(states.shape), atol=ROUNDING)


STATES = torch.arange(1.0, 13.0).reshape(1, 3, 4)
WEIGHTS = torch.tensor([[1.0, 2.0, 1.0]])


def test_no_norm_multiplies() -> None:
    assert torch.equal(weigh(STATES, WEIGHTS, "No norm"), STATES * WEIGHTS[..., None])


def test_original_restores_the_mean_of_the_whole_tensor() -> None:
    weighed = weigh(STATES, WEIGHTS, "Original")
    plain = STATES * WEIGHTS[..., None]
    assert torch.allclose(weighed.mean(), STATES.mean())
    assert torch.allclose(weighed, plain * (STATES.mean() / plain.mean()))


@pytest.mark.parametrize("mode", ["Ignore", "None"])
def test_other_modes_leave_the_states(mode: str) -> None:
    assert weigh(STATES, WEIGHTS, mode) is STATES  # type: ignore[arg-type]


def test_texts_of_one_call_have_one_length(tiny15: StableDiffusion) -> None:
    conds = tiny15.encode_prompts(["fox", "fox BREAK snow"], EncodeOptions())
    assert [cond.crossattn.shape for cond in conds] == [(1, 154, 32), (1, 154, 32)]
    assert all(isinstance(cond, Conditioning) for cond in conds)


def test_encoding_can_be_changed_in_place_by_an_extension(tiny15: StableDiffusion) -> None:
    (cond,) = tiny15.encode_prompts(["fox"], EncodeOptions())
    cond.crossattn.mul_(2)
    assert not cond.crossattn.requires_grad
