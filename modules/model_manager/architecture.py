"""From tensor names and shapes to the configurations that build diffusers and transformers models.

Knows LDM's naming of UNet and VAE and the two text encoder layouts; reads shapes, never weights.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modules.core.errors import ModelError
from modules.pipelines.spec import EncoderSpec

Shapes = Mapping[str, tuple[int, ...]]
CHANNELS_PER_HEAD = 64
"""Of SD2's and SDXL's UNet and of every CLIP text encoder."""


def unet_config(shapes: Shapes, heads: int | None, channels_per_head: int | None) -> dict[str, Any]:
    """Configuration of a UNet2DConditionModel from LDM shapes (`model.diffusion_model.` cut off).

    `heads` is the number of attention heads of every layer; where None, every head takes
    `channels_per_head` channels (64 where that is None too).
    The vector conditioning of SDXL is built as a projected class embedding: the same arithmetic as
    `text_time`, but fed with the whole vector, which is made once per prompt and not once per step.
    Raises KeyError where the shapes are not those of an LDM UNet.
    """
    widths, depths, layers = _unet_levels(shapes)
    mid_depth = _depth(shapes, "middle_block.1")
    attended = next(name for name in shapes if name.endswith("attn2.to_k.weight"))
    projection = next(name for name in shapes if name.endswith("1.proj_in.weight"))
    per_head = channels_per_head or CHANNELS_PER_HEAD
    vector = shapes.get("label_emb.0.0.weight")
    return {
        "in_channels": shapes["input_blocks.0.0.weight"][1],
        "out_channels": shapes["out.2.weight"][0],
        "block_out_channels": widths,
        "layers_per_block": layers,
        "down_block_types": [_block("Down", depth) for depth in depths],
        "up_block_types": [_block("Up", depth) for depth in reversed(depths)],
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        # the last number is the middle block's too; a level without attention ignores its own
        "transformer_layers_per_block": [depth or 1 for depth in depths[:-1]] + [mid_depth],
        "cross_attention_dim": shapes[attended][1],
        # diffusers' name is historical: these are numbers of heads
        "attention_head_dim": [heads or max(1, width // per_head) for width in widths],
        "use_linear_projection": len(shapes[projection]) == 2,
        "class_embed_type": "projection" if vector else None,
        "projection_class_embeddings_input_dim": vector[1] if vector else None,
        "sample_size": 64,
    }


def vae_config(shapes: Shapes, scale_factor: float) -> dict[str, Any]:
    """Configuration of an AutoencoderKL from LDM shapes (`first_stage_model.` cut off).

    Raises KeyError where the shapes are not those of an LDM autoencoder.
    """
    levels = _count(shapes, "encoder.down.")
    widths = [shapes[f"encoder.down.{i}.block.0.conv2.weight"][0] for i in range(levels)]
    return {
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "block_out_channels": widths,
        "layers_per_block": _count(shapes, "encoder.down.0.block."),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "mid_block_add_attention": "encoder.mid.attn_1.q.weight" in shapes,
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
        "scaling_factor": scale_factor,
        "sample_size": 512,
    }


def text_config(shapes: Shapes, row: EncoderSpec, folder: Path | None = None) -> dict[str, Any]:
    """Configuration of a CLIPTextModel from shapes in transformers' names.

    `folder` may hold a config.json, which gives heads and activation; without it CLIP's own.
    Raises KeyError where the shapes are not those of a CLIP text encoder, ModelError where
    config.json cannot be read.
    """
    vocabulary, width = shapes["embeddings.token_embedding.weight"]
    stated = _read_config(folder) if folder else {}
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": shapes["encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": _count(shapes, "encoder.layers."),
        "num_attention_heads": stated.get("num_attention_heads")
        or max(1, width // CHANNELS_PER_HEAD),
        "max_position_embeddings": shapes["embeddings.position_embedding.weight"][0],
        "hidden_act": stated.get("hidden_act") or row.activation,
        "layer_norm_eps": stated.get("layer_norm_eps") or 1e-5,
    }


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(path, f"cannot be read ({error}).") from error
    # a CLIPModel's configuration holds the text encoder's inside
    config = config.get("text_config") or config
    return config if isinstance(config, dict) else {}


def _unet_levels(shapes: Shapes) -> tuple[list[int], list[int], int]:
    """Width and transformer depth of each level, and the residual blocks per level."""
    widths: list[int] = []
    depths: list[int] = []
    layers = [0]
    for index in range(1, _count(shapes, "input_blocks.")):
        block = f"input_blocks.{index}"
        if f"{block}.0.op.weight" in shapes:
            layers.append(0)
            continue
        layers[-1] += 1
        if layers[-1] == 1:
            widths.append(shapes[f"{block}.0.out_layers.3.weight"][0])
            depths.append(_depth(shapes, f"{block}.1"))
    return widths, depths, layers[0]


def _depth(shapes: Shapes, block: str) -> int:
    return _count(shapes, f"{block}.transformer_blocks.")


def _count(shapes: Shapes, prefix: str) -> int:
    """How many consecutive numbers from 0 stand behind `prefix` in the names."""
    numbers = {name[len(prefix) :].split(".", 1)[0] for name in shapes if name.startswith(prefix)}
    return next(index for index in itertools.count() if str(index) not in numbers)


def _block(way: str, depth: int) -> str:
    return f"CrossAttn{way}Block2D" if depth else f"{way}Block2D"
