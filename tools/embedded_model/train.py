"""Does the whole thing: `python -m tools.embedded_model.train --minutes 120`.

Data, token table, decoder, CLIP, UNet on CLIP's text tower, export, further decoders, samples,
evaluation, in this order; the same command goes on where a killed run left off.
"""

import argparse
import logging
from pathlib import Path

import torch

from tools.embedded_model import adapt, clip, decoders, evaluate, export, unet, vae
from tools.embedded_model.data import ensure_pack
from tools.embedded_model.latents import ensure_pca
from tools.embedded_model.mixed import Plan
from tools.embedded_model.text import ensure_table

# Shares of the time; the UNet takes what is left.
DECODER_SHARE = 0.15
CLIP_SHARE = 0.15
FURTHER_DECODERS_SHARE = 0.04
SAMPLES_SHARE = 0.05
# (batch, rate) measured on one CPU core and planned for a GPU.
UNET_BATCH = {"cpu": (64, 1e-3), "cuda": (512, 1e-3)}
VAE_BATCH = {"cpu": (4, 1e-3), "cuda": (64, 1e-3)}
CLIP_BATCH = (128, 1e-3)
# At most so much training is lost by a kill: of its part of the plan, and in seconds.
LOST_SHARE = 0.2
LOST_S = 180.0


def train(minutes: float, cache: Path, models: Path, device: torch.device) -> None:
    """Train for `minutes` in all and leave everything in the folders of `models`."""
    cache.mkdir(parents=True, exist_ok=True)
    ensure_table(cache)
    ensure_pca(cache, ensure_pack(cache))
    rest = 1 - DECODER_SHARE - CLIP_SHARE - FURTHER_DECODERS_SHARE - SAMPLES_SHARE
    plan = plan_of(minutes * DECODER_SHARE, *VAE_BATCH[device.type])
    if not is_done(cache / "vae.pt", plan):
        vae.train(cache, plan, device)
    clip.train(cache, plan_of(minutes * CLIP_SHARE, *CLIP_BATCH), device)
    plan = plan_of(minutes * rest, *UNET_BATCH[device.type])
    if not is_done(cache / "unet.pt", plan):
        unet.train(cache, plan, device, is_everything=device.type == "cuda")
    path = export.export(cache, models / "Stable-diffusion")
    export.check(path, cache)
    clip.export(cache, models / "CLIP")
    decoders.make(cache, models, minutes * FURTHER_DECODERS_SHARE / 1.25, device)
    adapt.make(cache, models, minutes * SAMPLES_SHARE / 2, device)


def plan_of(minutes: float, batch: int, rate: float) -> Plan:
    """A plan that saves often enough to be worth resuming, however short it is."""
    return Plan(minutes, batch, rate, save_s=min(LOST_S, minutes * 60 * LOST_SHARE))


def is_done(path: Path, plan: Plan) -> bool:
    """Whether a training's file says that the plan's time is used up; its sheets may be missing."""
    if not path.is_file():
        return False
    seconds: float = torch.load(path, map_location="cpu", mmap=True)["seconds"]
    return seconds >= plan.minutes * 60


def main() -> None:
    """Parse the options and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--cache", type=Path, default=Path(".cache/embedded_model"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--grids", type=Path, default=Path("docs/images/embedded"))
    parser.add_argument(
        "--measure",
        nargs="*",
        default=list(evaluate.MEASUREMENTS),
        choices=evaluate.MEASUREMENTS,
        help="what the evaluation takes; all if left out, nothing if none is named",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    device = torch.device(arguments.device)
    cache, models = arguments.cache, arguments.models
    train(arguments.minutes, cache, models, device)
    if arguments.measure:
        evaluate.report(models, cache, arguments.grids, arguments.measure, is_resuming=True)


if __name__ == "__main__":
    main()
