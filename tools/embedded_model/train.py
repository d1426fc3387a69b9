"""Does the whole thing: `python -m tools.embedded_model.train --minutes 120`.

Data, token table, latents, decoder, UNet with text tower, export, evaluation, in this order; each
part resumes where a killed run left it. A sixth of the time goes to the decoder.
"""

import argparse
import logging
from pathlib import Path

import torch

from tools.embedded_model import evaluate, export, unet, vae
from tools.embedded_model.data import ensure_pack
from tools.embedded_model.latents import ensure_latents
from tools.embedded_model.mixed import Plan
from tools.embedded_model.text import ensure_table

DECODER_SHARE = 1 / 6
# (batch, rate) measured on one CPU core and planned for a GPU.
UNET_BATCH = {"cpu": (32, 1e-3), "cuda": (512, 1e-3)}
VAE_BATCH = {"cpu": (4, 1e-3), "cuda": (64, 1e-3)}


def train(minutes: float, cache: Path, folder: Path, device: torch.device) -> None:
    """Train for `minutes` in all and leave the checkpoint in `folder`."""
    cache.mkdir(parents=True, exist_ok=True)
    ensure_table(cache)
    ensure_latents(cache, ensure_pack(cache))
    decoder_minutes = minutes * DECODER_SHARE
    vae.train(cache, Plan(decoder_minutes, *VAE_BATCH[device.type]), device)
    unet.train(cache, Plan(minutes - decoder_minutes, *UNET_BATCH[device.type]), device)
    path = export.export(cache, folder)
    export.check(path, cache)
    evaluate.report(path, cache, Path("docs/images/embedded-model-grid.png"))


def main() -> None:
    """Parse the options and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--cache", type=Path, default=Path(".cache/embedded_model"))
    parser.add_argument("--folder", type=Path, default=Path("models/Stable-diffusion"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    device = torch.device(arguments.device)
    train(arguments.minutes, arguments.cache, arguments.folder, device)


if __name__ == "__main__":
    main()
