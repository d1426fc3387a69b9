"""Text encoder weights from the names of their files to those of transformers' CLIPTextModel."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from modules.pipelines.spec import TextLayout

PROJECTION = "text_projection.weight"
"""Name of the projection of the end-of-text state, (P, D), after renaming."""

_OPENCLIP_NAMES: tuple[tuple[str, str], ...] = (
    ("positional_embedding", "embeddings.position_embedding.weight"),
    ("token_embedding.", "embeddings.token_embedding."),
    ("ln_final.", "final_layer_norm."),
    ("transformer.resblocks.", "encoder.layers."),
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".attn.out_proj.", ".self_attn.out_proj."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
)
_UNUSED = ("position_ids", "logit_scale", "attn_mask")


def rename_text_weights(
    weights: Mapping[str, torch.Tensor], layout: TextLayout
) -> dict[str, torch.Tensor]:
    """Weights of one encoder, its prefix already cut off, under transformers' names.

    OpenCLIP stores query, key and value in one tensor and the projection transposed.
    """
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        if name.endswith(_UNUSED):
            continue
        if layout == "clip":
            renamed[name] = tensor
        elif name == "text_projection":
            renamed[PROJECTION] = tensor.T.contiguous()
        elif ".attn.in_proj_" in name:
            renamed |= _split_qkv(name, tensor)
        else:
            renamed[_openclip_name(name)] = tensor
    return renamed


def _split_qkv(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    block, kind = _openclip_name(name).split(".attn.in_proj_")
    parts = zip(("q_proj", "k_proj", "v_proj"), tensor.chunk(3), strict=True)
    return {f"{block}.self_attn.{part}.{kind}": piece for part, piece in parts}


def _openclip_name(name: str) -> str:
    for old, new in _OPENCLIP_NAMES:
        name = name.replace(old, new)
    return name
