"""Write small checkpoints with random weights in the original (LDM) layout, one per model family.

The names and the way they depend on widths are those of the published models, so that tests can
make a twin of any family without a download:

    python -m tools.make_fixtures sdxl /tmp/tiny-sdxl.safetensors
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

Shapes = dict[str, tuple[int, ...]]
VOCABULARY = 49408
TOKENS = 77


@dataclass(frozen=True, slots=True)
class UNetPlan:
    """Widths and depths of one LDM UNet."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    """Transformer blocks per level; 0: no attention."""
    mid_depth: int
    context: int
    is_linear: bool
    """Whether the transformers' projections are linear layers (SD2 on) or convolutions."""
    in_channels: int = 4
    vector: int | None = None
    layers: int = 2


@dataclass(frozen=True, slots=True)
class TextPlan:
    """One text encoder: its layout and prefix in the file."""

    prefix: str
    layout: str
    width: int
    layers: int
    inner: int
    projection: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole checkpoint."""

    unet: UNetPlan
    texts: tuple[TextPlan, ...]
    vae_widths: tuple[int, ...]


def tiny(family: str, in_channels: int = 4) -> Plan:
    """The small twin of a family: sd1, sd2, sdxl or sdxl-refiner."""
    return _TINY[family](in_channels)


def shapes_of(plan: Plan) -> Shapes:
    """Every tensor of a checkpoint with its shape."""
    shapes = {f"model.diffusion_model.{k}": v for k, v in _unet(plan.unet)}
    shapes |= {f"first_stage_model.{k}": v for k, v in _vae(plan.vae_widths)}
    for text in plan.texts:
        rows = _clip(text) if text.layout == "clip" else _openclip(text)
        shapes |= {f"{text.prefix}{k}": v for k, v in rows}
    return shapes


def write_checkpoint(
    path: Path,
    plan: Plan,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float16,
    metadata: dict[str, str] | None = None,
    extra: dict[str, torch.Tensor] | None = None,
) -> Path:
    """Write a checkpoint with random weights (variance 1/fan-in) and return its path."""
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: _random(name, shape, generator).to(dtype) for name, shape in shapes_of(plan).items()
    }
    save_file(weights | (extra or {}), path, metadata=metadata)
    return path


def _random(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    noise = torch.randn(shape, generator=generator)
    if len(shape) >= 2:
        return noise * (0.1 if "embedding" in name else 1 / math.sqrt(math.prod(shape[1:])))
    return 1 + 0.1 * noise if name.endswith("weight") else 0.05 * noise


def _layer(name: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


Rows = Iterator[tuple[str, tuple[int, ...]]]


def _unet(plan: UNetPlan) -> Rows:
    base = plan.widths[0]
    time = base * 4
    yield from _layer("time_embed.0", time, base)
    yield from _layer("time_embed.2", time, time)
    if plan.vector:
        yield from _layer("label_emb.0.0", time, plan.vector)
        yield from _layer("label_emb.0.2", time, time)
    yield from _layer("input_blocks.0.0", base, plan.in_channels, 3, 3)
    skips, width, index = [base], base, 1
    for level, (out, depth) in enumerate(zip(plan.widths, plan.depths)):
        for _ in range(plan.layers):
            yield from _residual(f"input_blocks.{index}.0", width, out, time)
            yield from _transformer(f"input_blocks.{index}.1", out, depth, plan)
            width, index = out, index + 1
            skips.append(width)
        if level + 1 < len(plan.widths):
            yield from _layer(f"input_blocks.{index}.0.op", width, width, 3, 3)
            skips.append(width)
            index += 1
    yield from _residual("middle_block.0", width, width, time)
    yield from _transformer("middle_block.1", width, plan.mid_depth, plan)
    yield from _residual("middle_block.2", width, width, time)
    index = 0
    for level in reversed(range(len(plan.widths))):
        out, depth = plan.widths[level], plan.depths[level]
        for layer in range(plan.layers + 1):
            yield from _residual(f"output_blocks.{index}.0", width + skips.pop(), out, time)
            yield from _transformer(f"output_blocks.{index}.1", out, depth, plan)
            width = out
            if level and layer == plan.layers:
                place = 2 if depth else 1
                yield from _layer(f"output_blocks.{index}.{place}.conv", width, width, 3, 3)
            index += 1
    yield from _layer("out.0", width)
    yield from _layer("out.2", 4, width, 3, 3)


def _residual(name: str, width: int, out: int, time: int) -> Rows:
    yield from _layer(f"{name}.in_layers.0", width)
    yield from _layer(f"{name}.in_layers.2", out, width, 3, 3)
    yield from _layer(f"{name}.emb_layers.1", out, time)
    yield from _layer(f"{name}.out_layers.0", out)
    yield from _layer(f"{name}.out_layers.3", out, out, 3, 3)
    if width != out:
        yield from _layer(f"{name}.skip_connection", out, width, 1, 1)


def _transformer(name: str, width: int, depth: int, plan: UNetPlan) -> Rows:
    if not depth:
        return
    tail = () if plan.is_linear else (1, 1)
    yield from _layer(f"{name}.norm", width)
    yield from _layer(f"{name}.proj_in", width, width, *tail)
    for block in (f"{name}.transformer_blocks.{number}" for number in range(depth)):
        for attention, source in (("attn1", width), ("attn2", plan.context)):
            yield f"{block}.{attention}.to_q.weight", (width, width)
            yield f"{block}.{attention}.to_k.weight", (width, source)
            yield f"{block}.{attention}.to_v.weight", (width, source)
            yield from _layer(f"{block}.{attention}.to_out.0", width, width)
        yield from _layer(f"{block}.ff.net.0.proj", width * 8, width)
        yield from _layer(f"{block}.ff.net.2", width, width * 4)
        for number in (1, 2, 3):
            yield from _layer(f"{block}.norm{number}", width)
    yield from _layer(f"{name}.proj_out", width, width, *tail)


def _vae(widths: tuple[int, ...]) -> Rows:
    last = len(widths) - 1
    yield from _layer("encoder.conv_in", widths[0], 3, 3, 3)
    width = widths[0]
    for level, out in enumerate(widths):
        for block in range(2):
            yield from _vae_residual(f"encoder.down.{level}.block.{block}", width, out)
            width = out
        if level < last:
            yield from _layer(f"encoder.down.{level}.downsample.conv", width, width, 3, 3)
    yield from _vae_middle("encoder", width)
    yield from _layer("encoder.conv_out", 8, width, 3, 3)
    yield from _layer("quant_conv", 8, 8, 1, 1)
    yield from _layer("post_quant_conv", 4, 4, 1, 1)
    yield from _layer("decoder.conv_in", width, 4, 3, 3)
    for level in reversed(range(len(widths))):
        for block in range(3):
            yield from _vae_residual(f"decoder.up.{level}.block.{block}", width, widths[level])
            width = widths[level]
        if level:
            yield from _layer(f"decoder.up.{level}.upsample.conv", width, width, 3, 3)
    yield from _vae_middle("decoder", widths[-1], end=width)
    yield from _layer("decoder.conv_out", 3, width, 3, 3)


def _vae_residual(name: str, width: int, out: int) -> Rows:
    yield from _layer(f"{name}.norm1", width)
    yield from _layer(f"{name}.conv1", out, width, 3, 3)
    yield from _layer(f"{name}.norm2", out)
    yield from _layer(f"{name}.conv2", out, out, 3, 3)
    if width != out:
        yield from _layer(f"{name}.nin_shortcut", out, width, 1, 1)


def _vae_middle(side: str, width: int, end: int | None = None) -> Rows:
    for block in (1, 2):
        yield from _vae_residual(f"{side}.mid.block_{block}", width, width)
    yield from _layer(f"{side}.mid.attn_1.norm", width)
    for part in ("q", "k", "v", "proj_out"):
        yield from _layer(f"{side}.mid.attn_1.{part}", width, width, 1, 1)
    yield from _layer(f"{side}.norm_out", end or width)


def _clip(plan: TextPlan) -> Rows:
    width = plan.width
    yield "embeddings.token_embedding.weight", (VOCABULARY, width)
    yield "embeddings.position_embedding.weight", (TOKENS, width)
    for layer in (f"encoder.layers.{number}" for number in range(plan.layers)):
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _layer(f"{layer}.self_attn.{part}", width, width)
        yield from _layer(f"{layer}.layer_norm1", width)
        yield from _layer(f"{layer}.layer_norm2", width)
        yield from _layer(f"{layer}.mlp.fc1", plan.inner, width)
        yield from _layer(f"{layer}.mlp.fc2", width, plan.inner)
    yield from _layer("final_layer_norm", width)


def _openclip(plan: TextPlan) -> Rows:
    width = plan.width
    yield "token_embedding.weight", (VOCABULARY, width)
    yield "positional_embedding", (TOKENS, width)
    for block in (f"transformer.resblocks.{number}" for number in range(plan.layers)):
        yield f"{block}.attn.in_proj_weight", (width * 3, width)
        yield f"{block}.attn.in_proj_bias", (width * 3,)
        yield from _layer(f"{block}.attn.out_proj", width, width)
        yield from _layer(f"{block}.ln_1", width)
        yield from _layer(f"{block}.ln_2", width)
        yield from _layer(f"{block}.mlp.c_fc", plan.inner, width)
        yield from _layer(f"{block}.mlp.c_proj", width, plan.inner)
    yield from _layer("ln_final", width)
    if plan.projection:
        yield "text_projection", (width, plan.projection)
    yield "logit_scale", ()


_VAE = (32, 32)
_CLIP_SD1 = "cond_stage_model.transformer.text_model."


def _sd1(in_channels: int) -> Plan:
    unet = UNetPlan((32, 64, 64), (1, 1, 0), 1, 32, False, in_channels)
    return Plan(unet, (TextPlan(_CLIP_SD1, "clip", 32, 3, 64),), _VAE)


def _sd2(in_channels: int) -> Plan:
    unet = UNetPlan((64, 128, 128), (1, 1, 0), 1, 64, True, in_channels)
    text = TextPlan("cond_stage_model.model.", "openclip", 64, 3, 128, 64)
    return Plan(unet, (text,), _VAE)


def _sdxl(in_channels: int) -> Plan:
    texts = (
        TextPlan("conditioner.embedders.0.transformer.text_model.", "clip", 32, 3, 64),
        TextPlan("conditioner.embedders.1.model.", "openclip", 64, 3, 128, 64),
    )
    unet = UNetPlan((32, 64, 128), (0, 1, 2), 2, 96, True, in_channels, vector=64 + 6 * 256)
    return Plan(unet, texts, _VAE)


def _refiner(in_channels: int) -> Plan:
    texts = (TextPlan("conditioner.embedders.0.model.", "openclip", 64, 3, 128, 64),)
    unet = UNetPlan((32, 64, 128, 128), (0, 1, 1, 0), 1, 64, True, in_channels, vector=64 + 5 * 256)
    return Plan(unet, texts, _VAE)


_TINY = {"sd1": _sd1, "sd2": _sd2, "sdxl": _sdxl, "sdxl-refiner": _refiner}


def main() -> None:
    """Write one twin."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("family", choices=sorted(_TINY))
    parser.add_argument("out", type=Path)
    parser.add_argument("--in-channels", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write_checkpoint(args.out, tiny(args.family, args.in_channels), seed=args.seed)


if __name__ == "__main__":
    main()
