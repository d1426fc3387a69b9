from __future__ import annotations

from pathlib import Path

import pytest

from modules.core.errors import ModelError
from modules.model_manager.detect import FOREIGN, identify
from modules.model_manager.tensor_file import Entry, TensorFile, open_tensors
from modules.pipelines.spec import Family
from tools.make_fixtures import shapes_of, tiny


def header(names: dict[str, tuple[int, ...]]) -> TensorFile:
    path = Path("thing.safetensors")
    return TensorFile(path, {n: Entry(path, "F16", s, 0, 0) for n, s in names.items()}, {})


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("channels", [4, 8, 9])
def test_family_is_told_from_names(family: Family, channels: int) -> None:
    assert identify(header(shapes_of(tiny(family.value, channels)))) is family


def test_old_text_encoder_names_are_sd1() -> None:
    names = {
        name.replace(".text_model.", "."): shape for name, shape in shapes_of(tiny("sd1")).items()
    }
    assert identify(header(names)) is Family.SD1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "a LoRA"),
        ("lora_unet_mid_block_attentions_0_proj_in.hada_w1_a", "a LoRA"),
        ("unet.down_blocks.0.attentions.0.to_q.lora_A.weight", "a LoRA"),
        ("emb_params", "embedding"),
        ("clip_g", "embedding"),
        ("control_model.time_embed.0.weight", "a ControlNet"),
        ("controlnet_cond_embedding.conv_in.weight", "a ControlNet"),
        ("model.diffusion_model.input_blocks.0.0.weight", "a UNet without text encoder"),
        ("down_blocks.0.resnets.0.time_emb_proj.weight", "a diffusers UNet"),
        ("model.diffusion_model.double_blocks.0.img_attn.norm.key_norm.scale", "a FLUX"),
        ("joint_blocks.0.context_block.adaLN_modulation.1.bias", "Stable Diffusion 3"),
        ("decoder.conv_in.weight", "a VAE"),
        ("first_stage_model.decoder.conv_in.weight", "a VAE"),
        ("text_model.embeddings.token_embedding.weight", "a text encoder"),
        ("model.0.weight", "an upscaler"),
        ("something.else", "unknown kind"),
    ],
)
def test_foreign_file_is_named_as_what_it_is(name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        identify(header({name: (1,)}))
    assert "thing.safetensors" in str(caught.value)


def test_file_without_tensors_is_said_to_be_so() -> None:
    with pytest.raises(ModelError, match="a file without tensors"):
        identify(header({}))


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("Lora/t15lora.safetensors", "a LoRA"),
        ("Lora/t15loha.safetensors", "a LoRA"),
        ("Lora/t15lokr.safetensors", "a LoRA"),
        ("Lora/t15ia3.safetensors", "a LoRA"),
        ("VAE/othervae.safetensors", "a VAE"),
        ("embeddings/t15embst.safetensors", "embedding"),
    ],
)
def test_fixture_in_the_wrong_folder_is_named(models: Path, file: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        identify(open_tensors(models / file))


def test_every_row_has_words() -> None:
    assert all(kind.words for kind in FOREIGN)
