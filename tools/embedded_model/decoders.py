"""Two further decoders of the same latents: `python -m tools.embedded_model.decoders`.

A TAESD-shaped one for previews (diffusers' AutoencoderTiny, decoder half) and "vivid", the
checkpoint's decoder tuned to stronger colours, a sample of a separate VAE file.
"""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file
from torch import Tensor, nn

from tools.embedded_model.block_pca import SCALING_FACTOR, build_vae
from tools.embedded_model.data import Picture, ensure_pack, read_pack
from tools.embedded_model.latents import ensure_pca
from tools.embedded_model.ldm_names import vae_to_ldm
from tools.embedded_model.mixed import MixedTraining, Plan, clock, save_state
from tools.embedded_model.vae import (
    draw_batch,
    load_trained,
    psnr,
    reconstruction_loss,
    split_pictures,
)

log = logging.getLogger(__name__)

TINY_WIDTHS = (32, 32, 32, 32)
TINY_NAME = "easel-mini-taesd.safetensors"
VIVID_NAME = "easel-mini-vivid.safetensors"
SATURATION = 1.6
# The last stage of the decoder sets colours; the rest stays the checkpoint's.
VIVID_TRAINED = ("decoder.up_blocks.3.", "decoder.conv_norm_out.", "decoder.conv_out.")
LUMA = (0.299, 0.587, 0.114)

Decode = Callable[[Tensor], Tensor]


def build_tiny() -> AutoencoderTiny:
    """TAESD's blocks (Bohan 2023) at half its width: unit-variance latents → [0, 1] pixels."""
    return AutoencoderTiny(
        encoder_block_out_channels=TINY_WIDTHS,
        decoder_block_out_channels=TINY_WIDTHS,
        scaling_factor=1.0,
        force_upcast=False,
    )


def vivid(images: Tensor) -> Tensor:
    """Strengthen the colours of (B, 3, H, W) in [-1, 1]; white, black and greys stay."""
    return torch.einsum("rc,bchw->brhw", colour_matrix(), images).clamp(-1, 1)


def colour_matrix() -> Tensor:
    """(3, 3): what `vivid` does to a pixel before clipping."""
    return SATURATION * torch.eye(3) + (1 - SATURATION) * torch.tensor(LUMA).expand(3, 3)


def fold_colours(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The decoder's last convolution with `vivid` worked into it: exact where nothing clips."""
    weight, bias = weights["decoder.conv_out.weight"], weights["decoder.conv_out.bias"]
    matrix = colour_matrix()
    return weights | {
        "decoder.conv_out.weight": torch.einsum("rc,cihw->rihw", matrix, weight),
        "decoder.conv_out.bias": matrix @ bias,
    }


def train_tiny(cache: Path, plan: Plan, device: torch.device) -> Path:
    """Train the preview decoder; leave its averaged weights in tiny.pt."""
    torch.manual_seed(plan.seed)
    tiny = build_tiny()
    tiny.encoder.requires_grad_(False)
    training = MixedTraining(tiny, plan, device)
    return _train(
        training,
        lambda latents: tiny.decoder(latents.to(tiny.dtype)),
        lambda images: images,
        cache / "tiny.pt",
    )


def train_vivid(cache: Path, plan: Plan, device: torch.device) -> Path:
    """Tune the checkpoint's decoder to stronger colours; leave the averaged weights in vivid.pt."""
    vae = build_vae()
    vae.load_state_dict(fold_colours(load_trained(cache)))
    for name, parameter in vae.named_parameters():
        parameter.requires_grad_(name.startswith(VIVID_TRAINED))
    training = MixedTraining(vae, plan, device)
    return _train(
        training,
        lambda latents: vae.decode(latents.to(vae.dtype) / SCALING_FACTOR).sample,
        vivid,
        cache / "vivid.pt",
    )


def export_tiny(cache: Path, folder: Path) -> Path:
    """Write the preview decoder in fp16 under diffusers' names, `decoder.layers.…`."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = torch.load(cache / "tiny.pt", map_location="cpu")["ema"]
    metadata = {
        "format": "pt",
        "modelspec.title": "Easel mini, preview decoder",
        "modelspec.architecture": "taesd",
        "modelspec.license": "Apache-2.0",
        "decoder_block_out_channels": ",".join(map(str, TINY_WIDTHS)),
    }
    return _save(weights, folder / TINY_NAME, metadata)


def export_vivid(cache: Path, folder: Path) -> Path:
    """Write a whole VAE in fp16 under LDM's names, as separate VAE files have them."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = load_trained(cache) | torch.load(cache / "vivid.pt", map_location="cpu")["ema"]
    metadata = {"format": "pt", "modelspec.title": "Easel mini, vivid VAE"}
    return _save(vae_to_ldm(weights), folder / VIVID_NAME, metadata)


def _save(weights: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> Path:
    save_file({n: w.half().contiguous() for n, w in weights.items()}, path, metadata=metadata)
    path.chmod(0o644)
    log.info("Wrote %s, %.1f MB", path, path.stat().st_size / 1e6)
    return path


def _train(
    training: MixedTraining, decode: Decode, change: Callable[[Tensor], Tensor], path: Path
) -> Path:
    """Train `decode` to give `change(images)` from the images' latents; resumes from `path`."""
    cache, plan = path.parent, training.plan
    pack = ensure_pack(cache)
    pca = ensure_pca(cache, pack, plan.seed)
    concepts, others, held_out = split_pictures(read_pack(pack))
    if path.is_file():
        training.resume(torch.load(path, map_location=training.device))
    random = np.random.default_rng(plan.seed + training.steps)
    losses: list[float] = []
    while not training.is_over:
        started = clock(training.device)
        images = draw_batch(concepts, others, plan.batch, random)
        output = decode(pca.encode(images).to(training.device)).float()
        loss = reconstruction_loss(output, change(images).to(training.device))
        torch.autograd.backward(loss)
        training.update()
        losses.append(float(loss.detach()))
        training.seconds += clock(training.device) - started
        if training.steps % 100 == 0:
            left = plan.minutes - training.seconds / 60
            log.info("%s %d loss %.4f, %.1f min left", path.stem, training.steps,
                     np.mean(losses), left)  # fmt: skip
            losses.clear()
            save_state(path, training.state())
    save_state(path, training.state())
    with training.averaged():
        quality = _measure(decode, change, held_out, pca.encode, training.device)
    log.info("%s: %.2f dB on held-out drawings", path.stem, quality)
    return path


@torch.inference_mode()
def _measure(
    decode: Decode,
    change: Callable[[Tensor], Tensor],
    pictures: list[Picture],
    encode: Callable[[Tensor], Tensor],
    device: torch.device,
) -> float:
    images = draw_batch(pictures, pictures, 32, np.random.default_rng(1))
    parts = [decode(encode(part).to(device)).float().cpu() for part in torch.split(images, 8)]
    return psnr(torch.cat(parts), change(images))


def linear_factors(cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """(matrix (4, 3), bias (3,)) that give a latent cell's mean colour in [0, 1], least squares."""
    pack = ensure_pack(cache)
    concepts, others, _ = split_pictures(read_pack(pack))
    images = draw_batch(concepts, others, 256, np.random.default_rng(2))
    latents = ensure_pca(cache, pack).encode(images)
    colours = nn.functional.avg_pool2d((images + 1) / 2, 8)
    known = torch.cat([latents, torch.ones_like(latents[:, :1])], 1).permute(0, 2, 3, 1)
    wanted = colours.permute(0, 2, 3, 1).reshape(-1, 3)
    solution = torch.linalg.lstsq(known.reshape(-1, 5), wanted).solution.numpy()
    return solution[:4], solution[4]


def main() -> None:
    """Train both and export them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/embedded_model"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--minutes", type=float, default=4, help="for each")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    make(arguments.cache, arguments.models, arguments.minutes, torch.device(arguments.device))


def make(cache: Path, models: Path, minutes: float, device: torch.device) -> None:
    """Train each decoder for `minutes` and export it into the folders of `models`."""
    train_tiny(cache, Plan(minutes, 8, 2e-3, warmup_steps=50), device)
    export_tiny(cache, models / "VAE-approx")
    # Its colours are folded in exactly; only the clipped ones are left to learn.
    train_vivid(cache, Plan(minutes / 4, 4, 2e-4, warmup_steps=10), device)
    export_vivid(cache, models / "VAE")
    matrix, bias = linear_factors(cache)
    log.info("Linear colours: %s + %s", matrix.round(4).tolist(), bias.round(4).tolist())


if __name__ == "__main__":
    main()
