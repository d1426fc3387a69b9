"""Writes the shipped checkpoint and reads it back: `python -m tools.embedded_model.export`.

Out: easel-mini.safetensors (LDM layout, fp16), easel-mini.yaml, easel_clip/ (tokenizer, config).
"""

import argparse
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from torch import Tensor

from tools.embedded_model.block_pca import SCALING_FACTOR, VAE_WIDTHS, build_vae
from tools.embedded_model.diffusion import SCHEDULE, alphas_cumprod
from tools.embedded_model.ldm_names import TEXT_PREFIX, to_ldm
from tools.embedded_model.text import TEXT_WIDTH, TOKENS, text_config
from tools.embedded_model.unet import HEADS, UNET_WIDTHS, Models, build_models, build_unet
from tools.embedded_model.vae import load_trained

log = logging.getLogger(__name__)

NAME = "easel-mini"
CLIP_FOLDER = "easel_clip"
LIMIT_BYTES = 60_000_000
YAML = """\
model:
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    linear_start: 0.00085
    linear_end: 0.0120
    num_timesteps_cond: 1
    timesteps: 1000
    first_stage_key: jpg
    cond_stage_key: txt
    image_size: 16
    channels: 4
    cond_stage_trainable: false
    conditioning_key: crossattn
    monitor: val/loss_simple_ema
    scale_factor: {scale}
    use_ema: false
    unet_config:
      target: ldm.modules.diffusionmodules.openaimodel.UNetModel
      params:
        image_size: 16
        in_channels: 4
        out_channels: 4
        model_channels: {unet_width}
        attention_resolutions: [4, 2, 1]
        num_res_blocks: 2
        channel_mult: {unet_mult}
        num_heads: {heads}
        use_spatial_transformer: true
        transformer_depth: 1
        context_dim: {text_width}
        use_checkpoint: false
        legacy: false
    first_stage_config:
      target: ldm.models.autoencoder.AutoencoderKL
      params:
        embed_dim: 4
        monitor: val/rec_loss
        ddconfig:
          double_z: true
          z_channels: 4
          resolution: 128
          in_channels: 3
          out_ch: 3
          ch: {vae_width}
          ch_mult: {vae_mult}
          num_res_blocks: 2
          attn_resolutions: []
          dropout: 0.0
        lossconfig:
          target: torch.nn.Identity
    cond_stage_config:
      target: ldm.modules.encoders.modules.FrozenCLIPEmbedder
      params:
        version: {clip}
        max_length: {tokens}
"""
METADATA = {
    "format": "pt",
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.architecture": "stable-diffusion-v1",
    "modelspec.title": "Easel mini",
    "modelspec.resolution": "128x128",
    "modelspec.prediction_type": "epsilon",
    "modelspec.license": "Apache-2.0; pictures: Noto Emoji Apache-2.0, Fluent Emoji MIT, "
    "Twemoji (graphics by Twitter and contributors) CC-BY 4.0",
}


def export(cache: Path, folder: Path) -> Path:
    """Write the newest averaged weights into `folder`; return the checkpoint's path."""
    folder.mkdir(parents=True, exist_ok=True)
    models = load_averaged(cache)
    weights = to_ldm(models.unet.state_dict(), load_trained(cache), models.text.state_dict())
    half = {name: weight.half().contiguous() for name, weight in weights.items()}
    half[TEXT_PREFIX + "embeddings.position_ids"] = torch.arange(TOKENS)[None]
    path = folder / f"{NAME}.safetensors"
    partial = path.with_suffix(".partial")
    save_file(half | _schedule_tensors(), partial, metadata=METADATA)
    partial.chmod(0o644)
    if partial.stat().st_size > LIMIT_BYTES:
        raise ValueError(f"{partial} has {partial.stat().st_size} bytes, allowed are {LIMIT_BYTES}")
    partial.replace(path)
    path.with_suffix(".yaml").write_text(_yaml(), encoding="utf-8")
    _write_clip(cache, folder / CLIP_FOLDER)
    log.info("Wrote %s, %.1f MB, %d tensors", path, path.stat().st_size / 1e6, len(half))
    return path


def load_averaged(cache: Path) -> Models:
    """The UNet with its averaged weights and the text tower, float32, for inference."""
    models = build_models(cache)
    models.unet.load_state_dict(torch.load(cache / "unet.pt", map_location="cpu")["ema"])
    return models.eval().requires_grad_(False)


def write_diffusers_config(folder: Path, clip: Path) -> None:
    """The local `config=` that `from_single_file` needs: shapes only, no weights."""
    build_unet().save_config(folder / "unet")
    build_vae().save_config(folder / "vae")
    shutil.copytree(clip, folder / "text_encoder", dirs_exist_ok=True)
    shutil.copytree(clip, folder / "tokenizer", dirs_exist_ok=True)
    scheduler = SCHEDULE | {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
    _write_json(
        folder / "scheduler/scheduler_config.json", {"_class_name": "DDIMScheduler"} | scheduler
    )
    index: dict[str, Any] = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
    }
    _write_json(folder / "model_index.json", index)


def load_pipeline(checkpoint: Path, scratch: Path) -> StableDiffusionPipeline:
    """Read the exported file back through diffusers' own converter, offline, float32."""
    write_diffusers_config(scratch, checkpoint.with_name(CLIP_FOLDER))
    return StableDiffusionPipeline.from_single_file(
        str(checkpoint), config=str(scratch), local_files_only=True, safety_checker=None
    )


def _schedule_tensors() -> dict[str, Tensor]:
    alphas = alphas_cumprod()
    previous = torch.cat([torch.ones(1), alphas[:-1]])
    return {"alphas_cumprod": alphas, "betas": 1 - alphas / previous}


def _yaml() -> str:
    return YAML.format(
        scale=SCALING_FACTOR,
        unet_width=UNET_WIDTHS[0],
        unet_mult=[width // UNET_WIDTHS[0] for width in UNET_WIDTHS],
        heads=HEADS,
        text_width=TEXT_WIDTH,
        vae_width=VAE_WIDTHS[0],
        vae_mult=[width // VAE_WIDTHS[0] for width in VAE_WIDTHS],
        clip=CLIP_FOLDER,
        tokens=TOKENS,
    )


def _write_clip(cache: Path, folder: Path) -> None:
    shutil.copytree(cache / "tokenizer", folder, dirs_exist_ok=True)
    config = text_config().to_dict()
    config["architectures"] = ["CLIPTextModel"]
    _write_json(folder / "config.json", config)


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Export the newest weights and check that they come back unchanged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/embedded_model"))
    parser.add_argument("--folder", type=Path, default=Path("models/Stable-diffusion"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    path = export(arguments.cache, arguments.folder)
    check(path, arguments.cache)


def check(path: Path, cache: Path) -> None:
    """Compare the file, read back by diffusers, with the trained weights; ValueError if apart."""
    pipeline = load_pipeline(path, cache / "diffusers_config")
    models = load_averaged(cache)
    wanted = {"unet": models.unet.state_dict(), "vae": load_trained(cache)}
    wanted["text_encoder"] = models.text.state_dict()
    for part, weights in wanted.items():
        found = getattr(pipeline, part).state_dict()
        missing = sorted(weights.keys() - found.keys())
        if missing:
            raise ValueError(f"{part}: read back without {missing[:3]} …")
        worst = max(
            float((found[n].float() - w.half().float()).abs().max()) for n, w in weights.items()
        )
        if worst > 0:
            raise ValueError(f"{part}: a weight came back {worst} off")
    log.info("Read back by diffusers: every weight equal in fp16")


if __name__ == "__main__":
    main()
