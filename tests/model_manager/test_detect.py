from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers

from modules.core.errors import ModelError
from modules.model_manager.detect import identify
from modules.model_manager.kinds import FOLDERS, KINDS, Content, kind_of, variant_of
from modules.model_manager.tensor_header import Entry, TensorFile, open_tensors
from modules.pipelines.spec import Family
from tools.make_fixtures import Plan, TextPlan, UNetPlan, shapes_of, tiny

Shapes = Mapping[str, tuple[int, ...]]
HEADERS = Path(__file__).parents[1] / "data/headers"
VAE = (128, 256, 512, 512)
SD1_TEXT = TextPlan("cond_stage_model.transformer.text_model.", "clip", 768, 12, 3072)
SD2_TEXT = TextPlan("cond_stage_model.model.", "openclip", 1024, 24, 4096, 1024)
XL_TEXTS = (
    TextPlan("conditioner.embedders.0.transformer.text_model.", "clip", 768, 12, 3072),
    TextPlan("conditioner.embedders.1.model.", "openclip", 1280, 32, 5120, 1280),
)
REFINER_TEXT = TextPlan("conditioner.embedders.0.model.", "openclip", 1280, 32, 5120, 1280)
SD_WIDTHS, SD_DEPTHS = (320, 640, 1280, 1280), (1, 1, 1, 0)


def full_size(family: str, channels: int = 4) -> Shapes:
    """Every tensor that a published checkpoint of the family must hold."""
    plans = {
        "sd1": Plan(UNetPlan(SD_WIDTHS, SD_DEPTHS, 1, 768, False, channels), (SD1_TEXT,), VAE),
        "sd2": Plan(UNetPlan(SD_WIDTHS, SD_DEPTHS, 1, 1024, True, channels), (SD2_TEXT,), VAE),
        "sdxl": Plan(
            UNetPlan((320, 640, 1280), (0, 2, 10), 10, 2048, True, channels, vector=2816),
            XL_TEXTS,
            VAE,
        ),
        "sdxl-refiner": Plan(
            UNetPlan((384, 768, 1536, 1536), (0, 4, 4, 0), 4, 1280, True, channels, vector=2560),
            (REFINER_TEXT,),
            VAE,
        ),
    }
    return shapes_of(plans[family])


def published(name: str) -> Shapes:
    rows = json.loads(gzip.decompress((HEADERS / f"{name}.json.gz").read_bytes()))
    return {key: tuple(shape) for key, (_, shape) in rows.items()}


def header(names: Shapes) -> TensorFile:
    path = Path("thing.safetensors")
    return TensorFile(path, {n: Entry(path, "F16", s, 0, 0) for n, s in names.items()}, {})


def names_of(model: type, config: dict[str, Any] | None = None) -> Shapes:
    with torch.device("meta"):
        network = model(config) if model.__module__.startswith("transformers") else model(
            **(config or {})
        )  # fmt: skip
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


@pytest.mark.parametrize(("name", "family"), [("sd15", "sd1"), ("sdxl-base", "sdxl")])
def test_published_checkpoints_are_told_apart(name: str, family: str) -> None:
    """And they hold every tensor of the derived lists, so that those can stand for the others."""
    real = published(name)
    assert identify(header(real)) is Family(family)
    derived = full_size(family)
    assert {key: real.get(key) for key in derived} == dict(derived)


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize(
    ("channels", "variant"), [(4, ""), (8, "instruct-pix2pix"), (9, "inpainting")]
)
def test_family_and_variant_are_told_from_the_header(
    family: Family, channels: int, variant: str
) -> None:
    for names in (full_size(family.value, channels), shapes_of(tiny(family.value, channels))):
        file = header(names)
        assert identify(file) is family
        assert variant_of(file) == variant
        assert kind_of(file).content is Content.CHECKPOINT


def test_old_text_encoder_names_are_sd1() -> None:
    names = {name.replace(".text_model.", "."): shape for name, shape in full_size("sd1").items()}
    assert identify(header(names)) is Family.SD1


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ({"noise_augmentor.time_embed": (1,)}, "Stable Diffusion 2 unCLIP"),
        ({"embedder.model.visual.proj": (1,)}, "Stable Diffusion 2 unCLIP"),
        ({"depth_model.model.pretrained.x": (1,)}, "Stable Diffusion 2 depth"),
        ({"model.diffusion_model.input_blocks.0.0.weight": (320, 7, 3, 3)}, "upscaler"),
        ({"cond_stage_model.roberta.embeddings.word_embeddings.weight": (1,)}, "AltDiffusion"),
    ],
)
def test_sd2_kin_is_named_as_not_supported(added: Shapes, words: str) -> None:
    with pytest.raises(ModelError, match=f"{words}.*not supported yet"):
        identify(header({**full_size("sd2"), **added}))


DIFFUSERS = (
    ("SD3Transformer2DModel", {"num_layers": 1}, "a transformer in diffusers' layout"),
    ("FluxTransformer2DModel", {"num_layers": 1, "num_single_layers": 1}, "a transformer"),
    ("UNet2DConditionModel", {}, "a diffusers UNet"),
    ("ControlNetModel", {}, "a ControlNet"),
    ("SD3ControlNetModel", {"num_layers": 1}, "a ControlNet"),
    ("T2IAdapter", {}, "a T2I adapter"),
    ("MotionAdapter", {}, "an AnimateDiff motion module"),
    ("AutoencoderKL", {}, "a VAE"),
    ("AutoencoderTiny", {}, "a VAE"),
)


@pytest.mark.parametrize(("model", "config", "words"), DIFFUSERS, ids=[row[0] for row in DIFFUSERS])
def test_networks_of_diffusers_are_named(model: str, config: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        identify(header(names_of(getattr(diffusers, model), config)))


@pytest.mark.parametrize(
    ("model", "config"),
    [
        (transformers.CLIPTextModel, transformers.CLIPTextConfig(num_hidden_layers=1)),
        (transformers.CLIPTextModelWithProjection, transformers.CLIPTextConfig()),
        (transformers.T5EncoderModel, transformers.T5Config(num_layers=1)),
    ],
)
def test_text_encoders_are_named(model: type, config: Any) -> None:
    assert kind_of(header(names_of(model, config))).content is Content.TEXT_ENCODER


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "a LoRA"),
        ("lora_unet_mid_block_attentions_0_proj_in.hada_w1_a", "a LoRA"),
        ("lora_unet_input_blocks_4_1_proj_in.lokr_w1", "a LoRA"),
        ("lora_unet_input_blocks_4_1_proj_in.diff", "a LoRA"),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1.oft_blocks", "a LoRA"),
        ("lora_te_text_model_encoder_layers_0_mlp_fc1.on_input", "a LoRA"),
        ("unet.down_blocks.0.attentions.0.to_q.lora_A.weight", "a LoRA"),
        ("unet.down_blocks.0.attentions.0.to_q.lora.down.weight", "a LoRA"),
        ("emb_params", "embedding"),
        ("clip_g", "embedding"),
        ("<fox>", "embedding"),
        ("control_model.time_embed.0.weight", "a ControlNet"),
        ("controlnet_cond_embedding.conv_in.weight", "a ControlNet"),
        ("body.0.in_conv.weight", "a T2I adapter"),
        ("image_proj.proj.weight", "an IP adapter"),
        ("model.diffusion_model.input_blocks.0.0.weight", "a UNet without text encoder"),
        ("model.diffusion_model.double_blocks.0.img_attn.norm.key_norm.scale", "a FLUX model"),
        ("single_stream_modulation.lin.weight", r"a FLUX\.2 model"),
        ("model.diffusion_model.distilled_guidance_layer.in_proj.bias", "a Chroma"),
        ("joint_blocks.0.context_block.adaLN_modulation.1.bias", "Stable Diffusion 3"),
        ("double_layers.0.attn.w1q.weight", "AuraFlow"),
        ("model.diffusion_model.layers.0.adaLN_modulation.0.weight", "Z-Image"),
        ("model.diffusion_model.head.modulation", "a Wan"),
        ("blocks.0.cross_attn.q_linear.weight", "a Sana"),
        ("y_embedder.y_proj.fc1.weight", "PixArt"),
        ("clip_txt_mapper.weight", "Stable Cascade"),
        ("first_stage_model.decoder.conv_in.weight", "a VAE"),
        ("text_model.embeddings.token_embedding.weight", "a text encoder"),
        ("model.0.weight", "an upscaler"),
        ("conv_first.weight", "an upscaler"),
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
    ("file", "content"),
    [
        ("Lora/t15lora.safetensors", Content.LORA),
        ("Lora/t15loha.safetensors", Content.LORA),
        ("Lora/t15lokr.safetensors", Content.LORA),
        ("Lora/t15ia3.safetensors", Content.LORA),
        ("VAE/othervae.safetensors", Content.VAE),
        ("embeddings/t15embst.safetensors", Content.EMBEDDING),
        ("Stable-diffusion/tiny15.safetensors", Content.CHECKPOINT),
    ],
)
def test_content_of_the_fixtures_is_their_folders(
    models: Path, file: str, content: Content
) -> None:
    assert kind_of(open_tensors(models / file)).content is content
    assert FOLDERS[content] == Path(file).parts[0]


def test_every_row_has_words_and_checkpoints_a_family() -> None:
    assert all(kind.words for kind in KINDS)
    families = {kind.family for kind in KINDS if kind.content is Content.CHECKPOINT}
    assert families == {family.value for family in Family}
