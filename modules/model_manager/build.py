"""From a blueprint to a pipeline: networks made without weights, then given theirs."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from modules.core.errors import ModelError
from modules.model_manager.blueprint import Blueprint, EncoderPart, Part, Weights
from modules.model_manager.text_names import PROJECTION
from modules.pipelines.chunking import PromptChunker
from modules.pipelines.odd_sizes import accept_odd_sizes
from modules.pipelines.sd import Networks, StableDiffusion
from modules.pipelines.sdxl import StableDiffusionXL
from modules.pipelines.spec import Family, Spec
from modules.pipelines.text_encoder import TextEncoder
from modules.prompt.bpe import ClipTokenizer, load_tokenizer

PUBLISHED_VAE_WIDTHS = (128, 256, 512, 512)
"""Of SD's and SDXL's autoencoders, whose latents the specs' preview factors fit."""

Model = TypeVar("Model", bound=torch.nn.Module)

PIPELINES: Mapping[Family, type[StableDiffusion]] = {
    Family.SD1: StableDiffusion,
    Family.SD2: StableDiffusion,
    Family.SDXL: StableDiffusionXL,
    Family.SDXL_REFINER: StableDiffusionXL,
}


def build(blueprint: Blueprint) -> StableDiffusion:
    """Make the pipeline. Raises ModelError where weights and configuration do not fit."""
    path = blueprint.path
    with torch.device("meta"):
        unet = UNet2DConditionModel(**blueprint.unet.config)
        accept_odd_sizes(unet)
    networks = Networks(
        path=path,
        unet=_fill(path, "UNet", unet, blueprint.unet.weights),
        vae=build_vae(path, blueprint.vae),
        encoders=tuple(_encoder(path, part) for part in blueprint.encoders),
        alphas_cumprod=blueprint.alphas_cumprod,
    )
    spec = blueprint.spec
    if tuple(blueprint.vae.config["block_out_channels"]) != PUBLISHED_VAE_WIDTHS:
        spec = replace(spec, preview=None)
    return PIPELINES[spec.family](spec, networks)


def build_vae(path: Path, part: Part) -> AutoencoderKL:
    """Make the autoencoder alone; `path` is named where its weights do not fit."""
    with torch.device("meta"):
        vae = AutoencoderKL(**part.config)
    return _fill(path, "VAE", vae, part.weights)


def check_latents(path: Path, vae: Part, spec: Spec) -> None:
    """Raise ModelError where an autoencoder makes other latents than the network knows."""
    made, known = vae.config["latent_channels"], spec.latent_channels
    if made != known:
        raise ModelError(
            path,
            f"is a VAE of another family: its latents have {made} channels, those of a "
            f"{spec.label} model {known}.",
        )


def _encoder(path: Path, encoder: EncoderPart) -> TextEncoder:
    weights = dict(encoder.part.weights)
    config = CLIPTextConfig(**encoder.part.config)
    with torch.device("meta"):
        model = CLIPTextModel(config)
    projection = _projection(weights.pop(PROJECTION, None))
    model = _fill(path, "text encoder", model, weights)
    # a buffer that is in no file: the positions 0..76
    positions = torch.arange(config.max_position_embeddings, device=model.device)
    model.embeddings.position_ids = positions.expand(1, -1)
    tokenizer = load_tokenizer(encoder.vocabulary) if encoder.vocabulary else _clip_tokenizer()
    chunker = PromptChunker(tokenizer, encoder.row.special(tokenizer.special))
    return TextEncoder(model, projection, encoder.row, chunker)


@functools.cache
def _clip_tokenizer() -> ClipTokenizer:
    """CLIP's own tokenizer; the same for all models, and a fifth of a second to build."""
    return load_tokenizer()


def _projection(weight: torch.Tensor | None) -> torch.nn.Linear | None:
    if weight is None:
        return None
    outputs, inputs = weight.shape
    layer = torch.nn.Linear(inputs, outputs, bias=False, device="meta")
    layer.load_state_dict({"weight": weight}, assign=True)
    return layer.requires_grad_(False)


def _fill(path: Path, what: str, model: Model, weights: Weights) -> Model:
    try:
        result = model.load_state_dict(weights, strict=False, assign=True)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise ModelError(path, f"does not fit its {what}: {first[0].strip()}") from error
    for words, names in (
        ("lacks", result.missing_keys),
        ("holds unknown", result.unexpected_keys),
    ):
        if names:
            shown = ", ".join(names[:3])
            raise ModelError(path, f"{words} {len(names)} tensors of its {what}: {shown} …")
    return model.eval().requires_grad_(False)
