"""Composes training pictures once and caches their latents, so that UNet steps touch no pixels.

Knows pictures and the closed-form encoder; must not know captions' tokens or the UNet.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tools.embedded_model.block_pca import BlockPca, fit_block_pca
from tools.embedded_model.compose import Look, caption, draw_look, paint
from tools.embedded_model.concepts import COLOURS, CONCEPTS, STYLES, TINTS
from tools.embedded_model.data import Picture, read_pack

log = logging.getLogger(__name__)

VARIANTS = 200
NONE = -1
GROUNDS = tuple(COLOURS)


@dataclass(frozen=True, slots=True)
class LatentSet:
    """latents (N, 4, 16, 16) float16; labels (N, 4) int: concept, style, tint, ground; -1: none."""

    latents: Tensor
    labels: np.ndarray

    def captions(self, rows: Sequence[int], random: np.random.Generator) -> list[str]:
        """A fresh caption of each row."""
        texts = []
        for row in rows:
            concept, style, tint, ground = (int(value) for value in self.labels[row])
            tint_word = None if tint == NONE else TINTS[tint]
            ground_word = None if ground == NONE else GROUNDS[ground]
            texts.append(caption(CONCEPTS[concept], STYLES[style], tint_word, ground_word, random))
        return texts


def row_weights(labels: np.ndarray) -> np.ndarray:
    """Labels (N, 4) → probability of drawing each row (N,), by style, and none postponed."""
    counts = np.bincount(labels[:, 1], minlength=len(STYLES))
    by_style = np.array([style.draws for style in STYLES]) / counts.clip(1)
    by_concept = np.array([not concept.is_postponed for concept in CONCEPTS])
    weights: np.ndarray = by_style[labels[:, 1]] * by_concept[labels[:, 0]]
    weights /= weights.sum()
    return weights


def concept_pictures(pictures: Sequence[Picture]) -> dict[tuple[int, int], Picture]:
    """(concept index, style index) → drawing; raises KeyError if a set lacks a concept."""
    found = {(picture.code, picture.style): picture for picture in pictures}
    return {
        (c, s): found[concept.code, style.key]
        for c, concept in enumerate(CONCEPTS)
        for s, style in enumerate(STYLES)
    }


def ensure_latents(cache: Path, pack: Path, seed: int = 0) -> tuple[LatentSet, BlockPca]:
    """Compose `VARIANTS` pictures of every drawing and encode them, once."""
    path = cache / "latents.pt"
    if not path.is_file():
        drawings = concept_pictures(read_pack(pack))
        random = np.random.default_rng(seed)
        sample = (paint(picture.rgba, draw_look(random)) for picture in drawings.values())
        pca = fit_block_pca(sample)
        latents, labels = _encode_all(drawings, pca, random)
        state = {"latents": latents, "labels": labels, "weight": pca.weight, "bias": pca.bias}
        torch.save(state, path)
        log.info("Cached %d latents", len(latents))
    state = torch.load(path)
    labels = state["labels"].numpy()
    return LatentSet(state["latents"], labels), BlockPca(state["weight"], state["bias"])


def _encode_all(
    drawings: dict[tuple[int, int], Picture], pca: BlockPca, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    latents, labels = [], []
    for (concept, style), picture in drawings.items():
        looks = [draw_look(random) for _ in range(VARIANTS)]
        pixels = np.stack([paint(picture.rgba, look) for look in looks])
        latents.append(pca.encode(to_tensor(pixels)).half())
        labels += [(concept, style, *_colour_labels(look)) for look in looks]
    return torch.cat(latents), torch.tensor(labels)


def _colour_labels(look: Look) -> Iterator[int]:
    yield NONE if look.tint is None else TINTS.index(look.tint)
    yield NONE if look.background is None else GROUNDS.index(look.background)


def to_tensor(pixels: np.ndarray) -> Tensor:
    """Pictures (B, H, W, 3) uint8 → (B, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
