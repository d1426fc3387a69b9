"""What is known of each model family, as rows of data.

What the tensors' shapes tell (widths, depths) is not here but read by
`model_manager/architecture.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from modules.prompt.chunks import SpecialTokens

Prediction = Literal["epsilon", "v"]
TextLayout = Literal["clip", "openclip"]


class Family(StrEnum):
    """Model families that Easel can load."""

    SD1 = "sd1"
    SD2 = "sd2"
    SDXL = "sdxl"
    SDXL_REFINER = "sdxl-refiner"


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """One text encoder of a family and which of its states is the conditioning."""

    layout: TextLayout
    prefix: str
    """Where its weights lie in an LDM file."""
    folder: str
    """Its folder in a diffusers model; the tokenizer's is `tokenizer` + the same suffix."""
    activation: str
    pad_token: int | None
    """Token after the first end-of-text; None: the end-of-text token itself."""
    fixed_skip: int | None
    """State taken whatever the clip skip says: 1 the last, 2 the one before; None: clip skip."""
    has_final_norm: bool
    is_pooled: bool
    """Whether its projected end-of-text state opens the conditioning vector."""

    def special(self, tokens: SpecialTokens) -> SpecialTokens:
        """The tokenizer's special tokens with this encoder's padding."""
        return replace(tokens, pad=tokens.end if self.pad_token is None else self.pad_token)


@dataclass(frozen=True, slots=True)
class PreviewFactors:
    """Linear map from a latent to colours: rgb = latent · matrix + bias, in [0, 1]."""

    matrix: tuple[tuple[float, float, float], ...]
    """One row of (r, g, b) per latent channel."""
    bias: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Spec:
    """One family, or (with replaced values) one loaded model."""

    family: Family
    label: str
    scale_factor: float
    """Latents that the network sees are the VAE's times this."""
    prediction: Prediction | None
    """What the network answers; None: not fixed by the family, found out on loading."""
    encoders: tuple[EncoderSpec, ...]
    native_size: int
    """Pixels of the side of the square pictures that the family was trained on."""
    heads: int | None
    """Attention heads of every layer; None: one per 64 channels."""
    size_vector: tuple[str, ...] = ()
    """Numbers embedded behind the pooled text, in order (SDXL report, section 2.2)."""
    latent_channels: int = 4
    in_channels: int = 4
    """Of the network: latent + concatenated conditioning (9: inpainting, 8: InstructPix2Pix)."""
    preview: PreviewFactors | None = None
    """None: fitted to the decoder on first use."""


_CLIP_L = EncoderSpec(
    layout="clip",
    prefix="cond_stage_model.transformer.text_model.",
    folder="text_encoder",
    activation="quick_gelu",
    pad_token=None,
    fixed_skip=None,
    has_final_norm=True,
    is_pooled=False,
)
_OPENCLIP_H = EncoderSpec(
    layout="openclip",
    prefix="cond_stage_model.model.",
    folder="text_encoder",
    activation="gelu",
    pad_token=0,
    fixed_skip=2,
    has_final_norm=True,
    is_pooled=False,
)
_XL_CLIP_L = EncoderSpec(
    layout="clip",
    prefix="conditioner.embedders.0.transformer.text_model.",
    folder="text_encoder",
    activation="quick_gelu",
    pad_token=None,
    fixed_skip=2,
    has_final_norm=False,
    is_pooled=False,
)
_XL_OPENCLIP_G = EncoderSpec(
    layout="openclip",
    prefix="conditioner.embedders.1.model.",
    folder="text_encoder_2",
    activation="gelu",
    pad_token=0,
    fixed_skip=2,
    has_final_norm=False,
    is_pooled=True,
)
_REFINER_OPENCLIP_G = EncoderSpec(
    layout="openclip",
    prefix="conditioner.embedders.0.model.",
    folder="text_encoder_2",
    activation="gelu",
    pad_token=0,
    fixed_skip=2,
    has_final_norm=False,
    is_pooled=True,
)

# Keturn, "Decoding latents to RGB without upscaling", discuss.huggingface.co, 2022; the bias
# moves its [-1, 1] colours to [0, 1].
_SD_PREVIEW = PreviewFactors(
    matrix=(
        (0.149, 0.1035, 0.104),
        (0.0935, 0.143, 0.0865),
        (-0.079, 0.0945, 0.132),
        (-0.092, -0.1355, -0.2365),
    ),
    bias=(0.5, 0.5, 0.5),
)
# Vass, "Explaining the SDXL latent space", huggingface.co/blog, 2024; 8-bit values there.
_SDXL_PREVIEW = PreviewFactors(
    matrix=(
        (60 / 255, 60 / 255, 60 / 255),
        (-60 / 255, -5 / 255, 10 / 255),
        (25 / 255, 15 / 255, -5 / 255),
        (-70 / 255, -50 / 255, -35 / 255),
    ),
    bias=(150 / 255, 140 / 255, 130 / 255),
)

SPECS: dict[Family, Spec] = {
    spec.family: spec
    for spec in (
        Spec(
            Family.SD1,
            "Stable Diffusion 1.x",
            scale_factor=0.18215,
            prediction="epsilon",
            encoders=(_CLIP_L,),
            native_size=512,
            heads=8,
            preview=_SD_PREVIEW,
        ),
        Spec(
            Family.SD2,
            "Stable Diffusion 2.x",
            scale_factor=0.18215,
            prediction=None,
            encoders=(_OPENCLIP_H,),
            native_size=768,
            heads=None,
            preview=_SD_PREVIEW,
        ),
        Spec(
            Family.SDXL,
            "Stable Diffusion XL",
            scale_factor=0.13025,
            prediction="epsilon",
            encoders=(_XL_CLIP_L, _XL_OPENCLIP_G),
            native_size=1024,
            heads=None,
            size_vector=("height", "width", "crop_top", "crop_left", "height", "width"),
            preview=_SDXL_PREVIEW,
        ),
        Spec(
            Family.SDXL_REFINER,
            "Stable Diffusion XL refiner",
            scale_factor=0.13025,
            prediction="epsilon",
            encoders=(_REFINER_OPENCLIP_G,),
            native_size=1024,
            heads=None,
            size_vector=("height", "width", "crop_top", "crop_left", "aesthetic_score"),
            preview=_SDXL_PREVIEW,
        ),
    )
}
