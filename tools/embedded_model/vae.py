"""Trains the decoder behind the closed-form encoder: `python -m tools.embedded_model.vae`.

CPU and CUDA take the same path; resumes from vae.pt. Must not know captions or the UNet.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor
from torch.nn import functional

from tools.embedded_model.block_pca import BlockPca, build_vae, write_encoder
from tools.embedded_model.compose import draw_look, paint
from tools.embedded_model.concepts import CONCEPTS, STYLES
from tools.embedded_model.data import Picture, ensure_pack, read_pack
from tools.embedded_model.grid import tile, to_pixels
from tools.embedded_model.latents import ensure_pca, to_tensor
from tools.embedded_model.mixed import MixedTraining, Plan, clock, save_state

log = logging.getLogger(__name__)

# Draws from the UNet's own concepts; the rest teaches everything else one may encode.
CONCEPT_SHARE = 0.65
HELD_OUT_EVERY = 20
# Latents from the UNet are never exact: half of the draws get noise up to this std.
LATENT_NOISE = 0.15
GRADIENT_WEIGHT = 1.0
# Group norms blur flat colours away unless they are asked for.
COLOUR_WEIGHT = 2.0


def split_pictures(
    pictures: Sequence[Picture],
) -> tuple[list[Picture], list[Picture], list[Picture]]:
    """(the concepts' drawings, other drawings, held-out drawings seen by no training)."""
    codes = {concept.code for concept in CONCEPTS}
    styles = {style.key for style in STYLES}
    concepts, others, held_out = [], [], []
    for index, picture in enumerate(pictures):
        if picture.code in codes and picture.style in styles:
            concepts.append(picture)
        elif index % HELD_OUT_EVERY == 0 and picture.code not in codes:
            held_out.append(picture)
        else:
            others.append(picture)
    return concepts, others, held_out


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 of pixels, of edges at three scales and of each latent's mean colour; (B, 3, H, W)."""
    loss = functional.l1_loss(output, target)
    for _ in range(3):
        for axis in (2, 3):
            edges = functional.l1_loss(output.diff(dim=axis), target.diff(dim=axis))
            loss = loss + GRADIENT_WEIGHT * edges
        output, target = functional.avg_pool2d(output, 2), functional.avg_pool2d(target, 2)
    return loss + COLOUR_WEIGHT * functional.l1_loss(output, target)


def psnr(output: Tensor, target: Tensor) -> float:
    """Mean over pictures of 10 log10(1 / MSE), both (B, 3, H, W) in [-1, 1]."""
    error = ((output.clamp(-1, 1) - target) / 2).square().mean((1, 2, 3))
    return float((-10 * error.log10()).mean())


def train(cache: Path, plan: Plan, device: torch.device) -> None:
    """Train until `plan.minutes` are used up; save, measure and draw on the way."""
    torch.manual_seed(plan.seed)
    pack = ensure_pack(cache)
    pca = ensure_pca(cache, pack, plan.seed)
    concepts, others, held_out = split_pictures(read_pack(pack))
    vae = build_vae()
    write_encoder(vae, pca)
    for part in (vae.encoder, vae.quant_conv):
        part.requires_grad_(False)
    training = MixedTraining(vae, plan, device)
    path = cache / "vae.pt"
    if path.is_file():
        training.resume(torch.load(path, map_location=device))
        log.info("Resuming at step %d, %.0f s", training.steps, training.seconds)
    random = np.random.default_rng(plan.seed + training.steps)
    saved, losses = training.seconds, []
    while not training.is_over:
        started = clock(device)
        images = draw_batch(concepts, others, plan.batch, random)
        losses.append(_step(vae, pca, images, training))
        training.seconds += clock(device) - started
        if training.steps % 50 == 0:
            left = plan.minutes - training.seconds / 60
            log.info("vae %d loss %.4f, %.1f min left", training.steps, np.mean(losses), left)
            losses.clear()
        if training.seconds - saved >= plan.save_s:
            saved = training.seconds
            _save(vae, pca, training, path)
            _inspect(vae, pca, training, held_out, concepts, cache)
    _save(vae, pca, training, path)
    _inspect(vae, pca, training, held_out, concepts, cache)


def draw_batch(
    concepts: Sequence[Picture], others: Sequence[Picture], count: int, random: np.random.Generator
) -> Tensor:
    painted = []
    for _ in range(count):
        pool = concepts if random.random() < CONCEPT_SHARE else others
        picture = pool[int(random.integers(len(pool)))]
        painted.append(paint(picture.rgba, draw_look(random)))
    return to_tensor(np.stack(painted))


def _step(vae: AutoencoderKL, pca: BlockPca, images: Tensor, training: MixedTraining) -> float:
    """One update on images (B, 3, 128, 128) in [-1, 1]."""
    latents = pca.encode(images)
    strength = LATENT_NOISE * torch.rand(len(images), 1, 1, 1)
    strength[::2] = 0
    latents = (latents + strength * torch.randn_like(latents)).to(training.device)
    output = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample
    loss = reconstruction_loss(output.float(), images.to(training.device))
    torch.autograd.backward(loss)
    training.update()
    return float(loss.detach())


def _save(vae: AutoencoderKL, pca: BlockPca, training: MixedTraining, path: Path) -> None:
    """The state for resuming, and `vae`: a whole float32 state dict of the averaged weights."""
    whole = build_vae()
    write_encoder(whole, pca)
    weights = whole.state_dict() | {n: w.cpu() for n, w in training.state()["ema"].items()}
    save_state(path, training.state() | {"vae": weights})


@torch.inference_mode()
def _inspect(
    vae: AutoencoderKL,
    pca: BlockPca,
    training: MixedTraining,
    held_out: Sequence[Picture],
    concepts: Sequence[Picture],
    cache: Path,
) -> None:
    """Log PSNR on held-out and on trained drawings; write a sheet: original, decoded."""
    random = np.random.default_rng(1)
    sheets = []
    for name, pool in (("held-out", held_out), ("concept", concepts)):
        chosen = [pool[index] for index in np.linspace(0, len(pool) - 1, 32).astype(int)]
        images = to_tensor(np.stack([paint(p.rgba, draw_look(random)) for p in chosen]))
        with training.averaged():
            output = reconstruct(vae, pca, images, training.device)
        log.info("vae %d PSNR %s %.2f dB", training.steps, name, psnr(output, images))
        for start in (0, 8):
            part = slice(start, start + 8)
            sheets += [to_pixels(images[part]), to_pixels(output[part])]
    folder = cache / "grids"
    folder.mkdir(exist_ok=True)
    sheet = tile(np.concatenate(sheets), columns=8)
    Image.fromarray(sheet).save(folder / f"vae-{training.steps:06d}.png")


def reconstruct(vae: AutoencoderKL, pca: BlockPca, images: Tensor, device: torch.device) -> Tensor:
    """Encode and decode (B, 3, H, W) in [-1, 1], eight at a time; float32 on the CPU."""
    latents = pca.encode(images).to(device, vae.dtype) / vae.config.scaling_factor
    return torch.cat([vae.decode(part).sample.float().cpu() for part in torch.split(latents, 8)])


def main() -> None:
    """Train or go on training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/embedded_model"))
    parser.add_argument("--minutes", type=float, default=18)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    plan = Plan(arguments.minutes, arguments.batch, arguments.rate)
    train(arguments.cache, plan, torch.device(arguments.device))


def load_trained(cache: Path) -> dict[str, Any]:
    """The whole averaged AutoencoderKL state dict, float32; FileNotFoundError before training."""
    weights: dict[str, Any] = torch.load(cache / "vae.pt", map_location="cpu")["vae"]
    return weights


if __name__ == "__main__":
    main()
