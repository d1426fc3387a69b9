"""Says how many things a picture shows: the judge's network, trained on real drawings alone.

Pictures of one thing once to four times; some concepts are kept from it, and say how often it is
right. Must not know the generator.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tools.embedded_model.classifier import (
    BATCH,
    INPUT_PX,
    Classifier,
    ensure_trained,
    prepare,
    shrink,
)
from tools.embedded_model.concepts import CONCEPTS, COUNTS, STYLES
from tools.embedded_model.data import Picture, ensure_pack, read_pack
from tools.embedded_model.latents import concept_pictures
from tools.embedded_model.scenes import draw_several, draw_single, paint_scene

NUMBERS = (1, *COUNTS)
CANVASES = ((128, 128), (128, 128), (128, 128), (192, 128), (128, 192))
HELD_OUT_EVERY = 5
LOOKS = 3


def ensure_counter(cache: Path) -> tuple[Classifier, float]:
    """Train once; return it and its share of right numbers on concepts kept from it."""
    is_test = [concept % HELD_OUT_EVERY == 0 for concept in range(len(CONCEPTS))]

    def paint(*, test: bool = False) -> tuple[Tensor, Tensor]:
        drawings = concept_pictures(read_pack(ensure_pack(cache)))
        chosen = [concept for concept, kept in enumerate(is_test) if kept == test]
        return paint_numbers(drawings, chosen, seed=32 if test else 31)

    return ensure_trained(
        cache, "counter", len(NUMBERS), paint, lambda model: measure(model, *paint(test=True))
    )


@torch.inference_mode()
def numbers(model: Classifier, pictures: np.ndarray) -> np.ndarray:
    """Pictures (B, H, W, 3) uint8 → how many things each shows, (B,) int, of `NUMBERS`."""
    small = np.stack([shrink(picture) for picture in pictures])
    images = torch.from_numpy(small).permute(0, 3, 1, 2).float() / 127.5 - 1
    found = torch.cat([model(part) for part in torch.split(images, BATCH)]).argmax(1)
    return np.array(NUMBERS)[found.numpy()]


@torch.inference_mode()
def measure(model: Classifier, pictures: Tensor, labels: Tensor) -> float:
    """Share of pictures (N, 3, 64, 64) uint8, augmented, whose number is right."""
    model.eval()
    random = np.random.default_rng(7)
    right = 0
    for images, wanted in zip(
        torch.split(pictures, BATCH), torch.split(labels, BATCH), strict=True
    ):
        right += int((model(prepare(images, random)).argmax(1) == wanted).sum())
    return right / len(labels)


def paint_numbers(
    drawings: dict[tuple[int, int], Picture], concepts: Sequence[int], seed: int
) -> tuple[Tensor, Tensor]:
    """Every drawing of `concepts` in each number: (N, 3, 64, 64) uint8, places in `NUMBERS`."""
    random = np.random.default_rng(seed)
    painted = np.zeros((len(concepts) * len(STYLES) * len(NUMBERS) * LOOKS, INPUT_PX, INPUT_PX, 3))
    pixels, labels = painted.astype(np.uint8), []
    for concept in concepts:
        for style in range(len(STYLES)):
            rgba = drawings[concept, style].rgba
            for place, number in [(p, n) for p, n in enumerate(NUMBERS) for _ in range(LOOKS)]:
                canvas = CANVASES[int(random.integers(len(CANVASES)))]
                scene = (
                    draw_single(canvas, concept, random)
                    if number == 1
                    else draw_several(canvas, concept, number, random)
                )
                pixels[len(labels)] = shrink(paint_scene([rgba] * number, scene))
                labels.append(place)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)
