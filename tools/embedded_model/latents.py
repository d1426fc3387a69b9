"""Composes training pictures batch by batch and encodes them with the closed-form encoder.

Knows pictures and the encoder; must not know captions' tokens or the UNet.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tools.embedded_model.block_pca import BlockPca, fit_block_pca
from tools.embedded_model.captions import caption
from tools.embedded_model.compose import draw_look, paint
from tools.embedded_model.concepts import CONCEPTS, STYLES
from tools.embedded_model.data import Picture, read_pack
from tools.embedded_model.mixed import save_state
from tools.embedded_model.scenes import draw_canvas, draw_scene, paint_scene

log = logging.getLogger(__name__)

PCA_FILE = "pca.pt"
# Optional, in the cache folder: concept name → how often it is drawn, 1 if not named.
WEIGHTS_FILE = "draws.json"


def ensure_pca(cache: Path, pack: Path, seed: int = 0) -> BlockPca:
    """Fit the encoder on looks of the concepts' drawings, once.

    Decoder and UNet are trained on its latents: a new fit makes both worthless.
    """
    path = cache / PCA_FILE
    if not path.is_file():
        random = np.random.default_rng(seed)
        drawings = concept_pictures(read_pack(pack))
        pca = fit_block_pca(paint(p.rgba, draw_look(random)) for p in drawings.values())
        save_state(path, {"weight": pca.weight, "bias": pca.bias})
        log.info("Fitted the encoder on %d drawings", len(drawings))
    state = torch.load(path)
    return BlockPca(state["weight"], state["bias"])


def concept_pictures(pictures: Sequence[Picture]) -> dict[tuple[int, int], Picture]:
    """(concept index, style index) → drawing; raises KeyError if a set lacks a concept."""
    found = {(picture.code, picture.style): picture for picture in pictures}
    return {
        (c, s): found[concept.code, style.key]
        for c, concept in enumerate(CONCEPTS)
        for s, style in enumerate(STYLES)
    }


def read_weights(cache: Path, *, is_everything: bool = False) -> np.ndarray:
    """Chance of drawing each concept (concepts,) float64, summing to 1.

    Postponed concepts are drawn only if `is_everything`.
    """
    path = cache / WEIGHTS_FILE
    factors = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    wanted = [is_everything or not concept.is_postponed for concept in CONCEPTS]
    weights = np.array([factors.get(concept.name, 1.0) for concept in CONCEPTS]) * wanted
    return np.asarray(weights / weights.sum())


def feed(
    drawings: dict[tuple[int, int], Picture],
    pca: BlockPca,
    weights: np.ndarray,
    count: int,
    random: np.random.Generator,
) -> Iterator[tuple[Tensor, list[str]]]:
    """Endless batches: latents (count, 4, h, w) float32 of one canvas each, and their captions."""
    draws = np.array([style.draws for style in STYLES])
    while True:
        canvas = draw_canvas(random)
        pictures, captions = [], []
        for index in random.choice(len(STYLES), count, p=draws / draws.sum()):
            scene = draw_scene(canvas, weights, random)
            parts = [drawings[part.concept, int(index)].rgba for part in scene.parts]
            pictures.append(paint_scene(parts, scene))
            captions.append(caption(scene, STYLES[int(index)], random))
        yield pca.encode(to_tensor(np.stack(pictures))), captions


def to_tensor(pixels: np.ndarray) -> Tensor:
    """Pictures (B, H, W, 3) uint8 → (B, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
