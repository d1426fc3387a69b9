"""What a weight file is, told from its tensors' names and shapes; never from its own name.

An ordered table: the first row that fits names the file. A new family is a row here, its pipeline
a row in `build.PIPELINES`. Loads no torch; reads the header only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from modules.model_manager.tensor_header import TensorFile

UNET_PREFIX: Final = "model.diffusion_model."
VAE_PREFIX: Final = "first_stage_model."
FIRST_CONVOLUTION: Final = f"{UNET_PREFIX}input_blocks.0.0.weight"

Test = Callable[[TensorFile], bool]


class Content(StrEnum):
    """What is done with a file."""

    CHECKPOINT = "checkpoint"
    VAE = "vae"
    LORA = "lora"
    EMBEDDING = "embedding"
    CONTROLNET = "controlnet"
    UPSCALER = "upscaler"
    TEXT_ENCODER = "text encoder"
    NETWORK = "network"
    """A denoising network alone, or a whole model of a family that is not supported."""
    UNKNOWN = "unknown"


FOLDERS: Final = {
    Content.CHECKPOINT: "Stable-diffusion",
    Content.VAE: "VAE",
    Content.LORA: "Lora",
    Content.EMBEDDING: "embeddings",
    Content.CONTROLNET: "ControlNet",
    Content.UPSCALER: "ESRGAN",
}
"""Where below `models/` each kind belongs."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One row. `words` follow "it is"; `family` is a `pipelines.spec.Family` that can be loaded."""

    content: Content
    words: str
    fits: Test
    family: str | None = None


def kind_of(file: TensorFile) -> Kind:
    """The first row that fits; Content.UNKNOWN, with words that name some tensors, for none."""
    for kind in KINDS:
        if kind.fits(file):
            return kind
    if not file.entries:
        return Kind(Content.UNKNOWN, "a file without tensors", lambda _: True)
    first = ", ".join(sorted(file.entries)[:3])
    words = f"of an unknown kind ({len(file.entries)} tensors: {first}, …)"
    return Kind(Content.UNKNOWN, words, lambda _: True)


def variant_of(file: TensorFile) -> str:
    """What the channels of a checkpoint's first convolution say it was trained for."""
    channels = file.shape(FIRST_CONVOLUTION)[1]
    return _VARIANTS.get(channels, f"with {channels} input channels")


def _has(*names: str) -> Test:
    return lambda file: any(name in file for name in names)


def _starts(*prefixes: str) -> Test:
    return lambda file: any(name.startswith(prefixes) for name in file.entries)


def _ends(*suffixes: str) -> Test:
    return lambda file: any(name.endswith(suffixes) for name in file.entries)


def _network(name: str) -> Test:
    """A tensor of the denoiser, with LDM's prefix or ComfyUI's, or bare."""
    return _has(name, f"{UNET_PREFIX}{name}", f"net.{name}")


def _every(*tests: Test) -> Test:
    return lambda file: all(test(file) for test in tests)


def _channels(number: int) -> Test:
    return lambda file: file.shape(FIRST_CONVOLUTION)[1:2] == (number,)


_CHECKPOINT: Final = _has(FIRST_CONVOLUTION)
_VARIANTS: Final = {4: "", 8: "instruct-pix2pix", 9: "inpainting"}


def _family(family: str, words: str, *tests: Test) -> Kind:
    return Kind(Content.CHECKPOINT, words, _every(_CHECKPOINT, *tests), family)


def _later(words: str, test: Test) -> Kind:
    return Kind(Content.NETWORK, f"a {words} model (not supported yet)", test)


KINDS: Final[tuple[Kind, ...]] = (
    # parts that change another model
    Kind(
        Content.LORA,
        "a LoRA",
        _ends(
            ".lora_down.weight",
            ".lora_up.weight",
            ".lora_A.weight",
            ".lora_B.weight",
            ".lora_A.default.weight",
            ".lora.down.weight",
            ".hada_w1_a",
            ".lokr_w1",
            ".lokr_w1_a",
            ".oft_blocks",
            ".oft_diag",
            ".on_input",
            ".a1.weight",
            ".dora_scale",
        ),
    ),
    Kind(
        Content.LORA,
        "a LoRA",
        _every(_starts("lora_unet_", "lora_te"), _ends(".diff", ".w_norm", ".diff_b")),
    ),
    Kind(Content.EMBEDDING, "a textual inversion embedding", _has("emb_params")),
    Kind(
        Content.EMBEDDING,
        "a textual inversion embedding",
        lambda file: 0 < len(file.entries) <= 2 and set(file.entries) <= {"clip_g", "clip_l"},
    ),
    Kind(
        Content.EMBEDDING,
        "a textual inversion embedding",
        lambda file: len(file.entries) == 1 and next(iter(file.entries)).startswith("<"),
    ),
    Kind(Content.NETWORK, "an AnimateDiff motion module",
         lambda file: any(".motion_modules." in name for name in file.entries)),
    Kind(
        Content.CONTROLNET,
        "a ControlNet",
        _starts(
            "control_model.",
            "controlnet_cond_embedding.",
            "input_hint_block.",
            "controlnet_down_blocks.",
            "controlnet_blocks.",
            "control_layers.",
            "control_all_x_embedder.",
        ),
    ),
    Kind(
        Content.CONTROLNET,
        "a T2I adapter",
        _has(
            "adapter.conv_in.weight",
            "adapter.body.0.resnets.0.block1.weight",
            "body.0.block1.weight",
            "body.0.in_conv.weight",
        ),
    ),
    Kind(Content.CONTROLNET, "an IP adapter", _starts("ip_adapter.", "image_proj.")),
    # checkpoints by their text encoder; the UNet must be there too
    _later("Stable Diffusion 2 unCLIP",
           _every(_CHECKPOINT, _starts("noise_augmentor.", "embedder.model."))),
    _later("Stable Diffusion 2 depth", _every(_CHECKPOINT, _starts("depth_model."))),
    _later("Stable Diffusion upscaler", _every(_CHECKPOINT, _channels(7))),
    _later("AltDiffusion", _every(_CHECKPOINT, _starts("cond_stage_model.roberta."))),
    _family(
        "sdxl",
        "a Stable Diffusion XL checkpoint",
        _has("conditioner.embedders.1.model.ln_final.weight"),
    ),
    _family(
        "sdxl-refiner",
        "a Stable Diffusion XL refiner",
        _has("conditioner.embedders.0.model.ln_final.weight"),
    ),
    _family(
        "sd2",
        "a Stable Diffusion 2.x checkpoint",
        _has("cond_stage_model.model.ln_final.weight"),
    ),
    _family(
        "sd1",
        "a Stable Diffusion 1.x checkpoint",
        _has(
            "cond_stage_model.transformer.text_model.final_layer_norm.weight",
            "cond_stage_model.transformer.final_layer_norm.weight",
        ),
    ),
    # families to come; the more special first
    _later("Stable Diffusion 3", _network("joint_blocks.0.context_block.adaLN_modulation.1.bias")),
    _later("Chroma", _network("distilled_guidance_layer.in_proj.bias")),
    _later("FLUX.2", _network("single_stream_modulation.lin.weight")),
    _later("FLUX", _network("double_blocks.0.img_attn.norm.key_norm.scale")),
    _later("AuraFlow", _network("double_layers.0.attn.w1q.weight")),
    _later("Hunyuan Video",
           _network("txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias")),
    _later("Lumina 2", _network("cap_embedder.0.weight")),
    _later("Z-Image", _network("layers.0.adaLN_modulation.0.weight")),
    _later("Wan", _network("head.modulation")),
    _later("LTX Video", _network("patchify_proj.weight")),
    _later("Mochi", _network("blocks.0.attn.qkv_x.weight")),
    _later("Sana", _network("blocks.0.cross_attn.q_linear.weight")),
    _later("HiDream", _network("double_stream_blocks.0.block.adaLN_modulation.1.bias")),
    _later("Cosmos", _network("x_embedder.proj.1.weight")),
    _later("Qwen-Image", _network("txt_in.text_norm.weight")),
    _later("PixArt", _network("y_embedder.y_proj.fc1.weight")),
    _later("Stable Cascade",
           _has("clip_txt_mapper.weight", "down_blocks.1.0.channelwise.0.weight")),
    Kind(Content.NETWORK, "a transformer in diffusers' layout (not supported yet)",
         _starts("transformer_blocks.0.", "single_transformer_blocks.0.")),
    # networks alone
    Kind(
        Content.NETWORK,
        "a UNet without text encoder",
        _has(FIRST_CONVOLUTION, "input_blocks.0.0.weight"),
    ),
    Kind(
        Content.NETWORK,
        "a diffusers UNet; choose the folder with model_index.json instead",
        _has("down_blocks.0.resnets.0.time_emb_proj.weight"),
    ),
    Kind(
        Content.VAE,
        "a VAE; it belongs into models/VAE",
        _has(
            "decoder.conv_in.weight",
            f"{VAE_PREFIX}decoder.conv_in.weight",
            "decoder.layers.1.weight",
            "decoder.layers.0.weight",
            "decoder.middle.0.residual.0.gamma",
            "decoder.stages.1.op_list.0.main.conv.conv.bias",
        ),
    ),
    Kind(
        Content.TEXT_ENCODER,
        "a text encoder",
        _ends(
            "token_embedding.weight",
            "encoder.block.0.layer.0.SelfAttention.q.weight",
            "model.embed_tokens.weight",
        ),
    ),
    Kind(
        Content.UPSCALER,
        "an upscaler; it belongs into models/ESRGAN",
        _has(
            "model.0.weight",
            "conv_first.weight",
            "body.0.weight",
            "body.0.rdb1.conv1.weight",
            "layers.0.residual_group.blocks.0.norm1.weight",
        ),
    ),
)  # fmt: skip
"""The most telling names first: a ControlNet or a LoRA may hold names of the network it changes."""
