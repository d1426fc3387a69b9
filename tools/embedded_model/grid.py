"""Draws contact sheets of fixed prompts, to see during training what the model has learnt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPTokenizer

from tools.embedded_model.block_pca import BlockPca, build_vae
from tools.embedded_model.concepts import STYLES, TRAINED
from tools.embedded_model.diffusion import sample
from tools.embedded_model.text import tokenise

LATENT_PX = 16
EXTRA_PROMPTS = (
    "blue heart",
    "purple cat, noto style",
    "a green star on a yellow background",
    "a car, blue background",
    "rocket on black, 3d style",
    "pink frog, flat style",
    "a house on a green background",
    "a small dog on the left",
    "a cat and a car",
    "a tiger left of a pear",
    "a guitar above a drum",
    "two cats",
    "three apples",
    "four stars",
)


class Predictor(Protocol):
    """What a grid needs of the models."""

    def encode(self, ids: Tensor) -> Tensor:
        """Token ids (B, 77) → context (B, 77, D)."""
        ...

    def predict(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Epsilon of noisy latents."""
        ...


def training_prompts() -> list[str]:
    """Every other trained concept in alternating styles, then the extra prompts."""
    rows = enumerate(TRAINED[::2])
    styles = [style for style in STYLES if style.draws > 0]
    concepts = [f"{concept.name}, {styles[index % len(styles)].words}" for index, concept in rows]
    return concepts + list(EXTRA_PROMPTS)


def write_grid(models: Predictor, cache: Path, path: Path, seed: int = 1) -> None:
    """Sample the training prompts at CFG 5 and write one PNG."""
    pictures = draw(models, cache, training_prompts(), seed=seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(tile(pictures, columns=8)).save(path)


@torch.inference_mode()
def draw(models: Predictor, cache: Path, prompts: Sequence[str], *, seed: int) -> np.ndarray:
    """Prompts → pictures (B, 128, 128, 3) uint8, by the newest decoder there is."""
    tokenizer = CLIPTokenizer.from_pretrained(cache / "tokenizer")
    cond = models.encode(tokenise(tokenizer, prompts))
    uncond = models.encode(tokenise(tokenizer, [""]))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(prompts), 4, LATENT_PX, LATENT_PX, generator=generator)
    latents = sample(models.predict, cond, uncond, noise=noise)
    return to_pixels(_decode(latents, cache))


def tile(pictures: np.ndarray, columns: int) -> np.ndarray:
    """(B, H, W, 3) → one sheet, row by row; the last row is filled up with white."""
    count, height, width, _ = pictures.shape
    rows = -(-count // columns)
    sheet = np.full((rows * columns, height, width, 3), 255, np.uint8)
    sheet[:count] = pictures
    sheet = sheet.reshape(rows, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    return sheet.reshape(rows * height, columns * width, 3)


def to_pixels(images: Tensor) -> np.ndarray:
    """(B, 3, H, W) in [-1, 1] → (B, H, W, 3) uint8."""
    scaled = ((images.float().clamp(-1, 1) + 1) * 127.5).round()
    return scaled.byte().permute(0, 2, 3, 1).cpu().numpy()


def _decode(latents: Tensor, cache: Path) -> Tensor:
    path = cache / "vae.pt"
    if path.is_file():
        vae = build_vae()
        vae.load_state_dict(torch.load(path)["vae"])
        parts = torch.split(latents / vae.config.scaling_factor, 8)
        return torch.cat([vae.decode(part).sample for part in parts])
    state = torch.load(cache / "pca.pt")
    return BlockPca(state["weight"], state["bias"]).decode(latents)


def write_sheet(sheet: np.ndarray, stem: Path, name: str) -> None:
    """Write (H, W, 3) uint8 to `stem`-name.png and make its folder."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(stem.with_name(f"{stem.name}-{name}.png"), optimize=True)
