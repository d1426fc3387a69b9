"""Renames diffusers' weights to the names of an SD 1 checkpoint (LDM layout).

Pure functions on state dicts. Source of the names: the public SD 1 files; the block order is that
of Rombach et al.'s UNet: each level two blocks down, then a halving; three blocks up, a doubling.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
TEXT_PREFIX = "cond_stage_model.transformer.text_model."
LEVELS = 4

_UNET_TOP = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_VAE_PARTS = {
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0": "mid.attn_1",
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


def unet_name(name: str) -> str:
    """One UNet weight's LDM name, without the prefix.

    >>> unet_name("down_blocks.1.attentions.0.proj_in.weight")
    'input_blocks.4.1.proj_in.weight'
    >>> unet_name("up_blocks.0.upsamplers.0.conv.bias")
    'output_blocks.2.1.conv.bias'
    >>> unet_name("mid_block.resnets.1.time_emb_proj.weight")
    'middle_block.2.emb_layers.1.weight'
    """
    place, inner = _unet_place(name)
    if ".resnets." in name:
        part, _, rest = inner.partition(".")
        inner = f"{_UNET_RESNET[part]}.{rest}"
    return f"{place}.{inner}"


def vae_name(name: str) -> str:
    """One AutoencoderKL weight's LDM name, without the prefix.

    >>> vae_name("decoder.up_blocks.0.resnets.1.conv_shortcut.weight")
    'decoder.up.3.block.1.nin_shortcut.weight'
    >>> vae_name("encoder.mid_block.attentions.0.to_out.0.bias")
    'encoder.mid.attn_1.proj_out.bias'
    """
    name = re.sub(r"down_blocks\.(\d)", r"down.\1", name)
    name = re.sub(r"up_blocks\.(\d)", lambda m: f"up.{LEVELS - 1 - int(m[1])}", name)
    for source, target in _VAE_PARTS.items():
        name = name.replace(source, target)
    name = name.replace("downsamplers.0.conv", "downsample.conv")
    name = name.replace("upsamplers.0.conv", "upsample.conv")
    return name.replace("resnets.", "block.")


def to_ldm(
    unet: Mapping[str, Tensor], vae: Mapping[str, Tensor], text: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Merge three diffusers state dicts into one checkpoint's; raises ValueError on a clash."""
    pairs = [(UNET_PREFIX + unet_name(name), weight) for name, weight in unet.items()]
    pairs += [(VAE_PREFIX + name, weight) for name, weight in vae_to_ldm(vae).items()]
    # Some transformers versions keep the `text_model.` prefix in state dicts, some drop it.
    pairs += [(TEXT_PREFIX + name.removeprefix("text_model."), w) for name, w in text.items()]
    _refuse_clashes(name for name, _ in pairs)
    return dict(pairs)


def vae_to_ldm(vae: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An AutoencoderKL's state dict as separate VAE files hold it, without a prefix."""
    return {vae_name(name): _vae_shape(name, weight) for name, weight in vae.items()}


def _unet_place(name: str) -> tuple[str, str]:
    """(LDM block, rest of the diffusers name)."""
    for source, target in _UNET_TOP.items():
        if name.startswith(source + "."):
            return target, name.removeprefix(source + ".")
    match = re.fullmatch(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.+)", name)
    if match is None:
        raise ValueError(f"not a weight of SD's UNet: {name}")
    side, level, kind, index, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    if kind == "downsamplers":
        return f"input_blocks.{3 * (level + 1)}.0.op", rest.removeprefix("conv.")
    if kind == "upsamplers":
        # Behind resnet and attention; the lowest level has no attention.
        return f"output_blocks.{3 * level + 2}.{1 if level == 0 else 2}", rest
    slot = 0 if kind == "resnets" else 1
    if side == "down":
        return f"input_blocks.{3 * level + index + 1}.{slot}", rest
    return f"output_blocks.{3 * level + index}.{slot}", rest


def _vae_shape(name: str, weight: Tensor) -> Tensor:
    """LDM's VAE attention is made of 1×1 convolutions."""
    is_projection = ".attentions." in name and weight.ndim == 2
    return weight[:, :, None, None] if is_projection else weight


def _refuse_clashes(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"two weights would be named {name}")
        seen.add(name)
