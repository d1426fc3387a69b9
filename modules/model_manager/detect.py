"""What a file is, told from its tensors' names and shapes; never from its own name.

An ordered table: the first row that fits names the file. A new family is a row in `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modules.core.errors import ModelError
from modules.model_manager.tensor_file import TensorFile
from modules.pipelines.spec import Family

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."

Test = Callable[[TensorFile], bool]


@dataclass(frozen=True, slots=True)
class Kind:
    """One row: the words for a message, and the test."""

    words: str
    fits: Test


def _has(*names: str) -> Test:
    return lambda file: any(name in file for name in names)


def _starts(*prefixes: str) -> Test:
    return lambda file: any(name.startswith(prefixes) for name in file.entries)


def _ends(*suffixes: str) -> Test:
    return lambda file: any(name.endswith(suffixes) for name in file.entries)


FAMILIES: tuple[tuple[Family, Test], ...] = (
    (Family.SDXL, _has("conditioner.embedders.1.model.ln_final.weight")),
    (Family.SDXL_REFINER, _has("conditioner.embedders.0.model.ln_final.weight")),
    (Family.SD2, _has("cond_stage_model.model.ln_final.weight")),
    (
        Family.SD1,
        _has(
            "cond_stage_model.transformer.text_model.final_layer_norm.weight",
            "cond_stage_model.transformer.final_layer_norm.weight",
        ),
    ),
)
"""LDM checkpoints by their text encoder; the UNet must be there too."""

FOREIGN: tuple[Kind, ...] = (
    Kind(
        "a LoRA",
        _ends(
            ".lora_down.weight",
            ".lora_up.weight",
            ".lora_A.weight",
            ".lora_B.weight",
            ".lora.down.weight",
            ".hada_w1_a",
            ".lokr_w1",
            ".lokr_w1_a",
            ".oft_blocks",
            ".on_input",
        ),
    ),
    Kind("a textual inversion embedding", _has("emb_params", "clip_g", "clip_l")),
    Kind(
        "a ControlNet",
        _starts("control_model.", "controlnet_cond_embedding.", "input_hint_block."),
    ),
    Kind("a T2I adapter", _has("adapter.conv_in.weight", "adapter.body.0.resnets.0.block1.weight")),
    Kind("an IP adapter", _starts("ip_adapter.", "image_proj.")),
    Kind(
        "a Stable Diffusion 3 model (not supported yet)",
        _has(
            "model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias",
            "joint_blocks.0.context_block.adaLN_modulation.1.bias",
        ),
    ),
    Kind(
        "a FLUX model (not supported yet)",
        _has(
            "model.diffusion_model.double_blocks.0.img_attn.norm.key_norm.scale",
            "double_blocks.0.img_attn.norm.key_norm.scale",
        ),
    ),
    Kind(
        "a UNet without text encoder",
        _has(f"{UNET_PREFIX}input_blocks.0.0.weight", "input_blocks.0.0.weight"),
    ),
    Kind(
        "a diffusers UNet; choose the folder with model_index.json instead",
        _has("down_blocks.0.resnets.0.time_emb_proj.weight"),
    ),
    Kind(
        "a VAE; it belongs into models/VAE",
        _has(
            "decoder.conv_in.weight",
            f"{VAE_PREFIX}decoder.conv_in.weight",
            "decoder.layers.1.weight",
        ),
    ),
    Kind(
        "a text encoder",
        _ends("token_embedding.weight", "encoder.block.0.layer.0.SelfAttention.q.weight"),
    ),
    Kind(
        "an upscaler; it belongs into models/ESRGAN",
        _has("model.0.weight", "conv_first.weight", "body.0.rdb1.conv1.weight"),
    ),
)
"""Files that are no checkpoint, the most telling names first."""


def identify(file: TensorFile) -> Family:
    """The family of a checkpoint. Raises ModelError that says what the file is instead."""
    if f"{UNET_PREFIX}input_blocks.0.0.weight" in file:
        for family, fits in FAMILIES:
            if fits(file):
                return family
    raise ModelError(file.path, f"is no checkpoint that Easel can load: it is {describe(file)}.")


def describe(file: TensorFile) -> str:
    """What a file that is no checkpoint seems to be, in words that follow "it is"."""
    for kind in FOREIGN:
        if kind.fits(file):
            return kind.words
    if not file.entries:
        return "a file without tensors"
    first = ", ".join(sorted(file.entries)[:3])
    return f"of an unknown kind ({len(file.entries)} tensors: {first}, …)"
