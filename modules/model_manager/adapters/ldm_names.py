"""LDM's names of a UNet's layers, which LoRA files use as often as diffusers' names.

Derived from the blocks that the UNet has, so every depth and width is covered. The scheme is that
of diffusers' `convert_ldm_unet_checkpoint`, read backwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from diffusers import UNet2DConditionModel

_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def ldm_names(unet: UNet2DConditionModel) -> dict[str, str]:
    """LDM's name of every layer, by diffusers' name; without `model.diffusion_model`."""
    blocks = {**_ENDS, **dict(_block_names(unet))}
    names: dict[str, str] = {}
    for path, module in unet.named_modules():
        if getattr(module, "weight", None) is None:
            continue
        block, rest = _split(path, blocks)
        if block is not None:
            names[path] = blocks[block] + (f".{_RESNET.get(rest, rest)}" if rest else "")
    return names


def _split(path: str, blocks: dict[str, str]) -> tuple[str | None, str]:
    """The known block that `path` lies in, and the rest of the path."""
    pieces = path.split(".")
    for count in range(len(pieces), 0, -1):
        block = ".".join(pieces[:count])
        if block in blocks:
            return block, ".".join(pieces[count:])
    return None, path


def _block_names(unet: Any) -> Iterator[tuple[str, str]]:
    number = 1  # input_blocks.0 is conv_in
    for index, block in enumerate(unet.down_blocks):
        for place in range(len(block.resnets)):
            yield from _pair(f"down_blocks.{index}", f"input_blocks.{number}", place)
            number += 1
        if block.downsamplers:
            yield f"down_blocks.{index}.downsamplers.0.conv", f"input_blocks.{number}.0.op"
            number += 1
    yield "mid_block.resnets.0", "middle_block.0"
    yield "mid_block.attentions.0", "middle_block.1"
    yield "mid_block.resnets.1", "middle_block.2"
    number = 0
    for index, block in enumerate(unet.up_blocks):
        for place in range(len(block.resnets)):
            yield from _pair(f"up_blocks.{index}", f"output_blocks.{number}", place)
            number += 1
        if block.upsamplers:
            slot = 2 if getattr(block, "attentions", None) else 1
            yield (
                f"up_blocks.{index}.upsamplers.0.conv",
                f"output_blocks.{number - 1}.{slot}.conv",
            )


def _pair(block: str, ldm: str, place: int) -> Iterator[tuple[str, str]]:
    yield f"{block}.resnets.{place}", f"{ldm}.0"
    yield f"{block}.attentions.{place}", f"{ldm}.1"
