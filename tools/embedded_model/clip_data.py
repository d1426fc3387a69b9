"""Small pictures and captions for CLIP. Must not know towers or tokens.

A batch holds single things out of a painted pool, and scenes that are told apart by their
composition alone: the same two things in both orders, the same thing once to four times.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from tools.embedded_model.captions import caption
from tools.embedded_model.compose import CANVAS_PX
from tools.embedded_model.concepts import (
    CONCEPTS,
    COUNTS,
    EXTRA_STYLES,
    STYLES,
    is_count_held_out,
    is_pair_held_out,
)
from tools.embedded_model.data import Picture, ensure_pack, read_pack
from tools.embedded_model.mixed import save_state
from tools.embedded_model.scenes import (
    Scene,
    draw_ordered,
    draw_several,
    draw_single,
    paint_scene,
)

log = logging.getLogger(__name__)

IMAGE_PX = 64
LOOKS = 16
OTHER_LOOKS = 2
OTHER_SHARE = 0.25
# A caption that is the bare word, as an interrogator asks.
WORD_SHARE = 0.5
ALL_STYLES = STYLES + EXTRA_STYLES
MAX_TURN = 0.26
SCALES = (0.85, 1.15)
MAX_SHIFT = 0.08
# Of a batch; the rest are single things.
ORDERED_SHARE = 0.25
COUNTED_SHARE = 0.25
SMALL_SCALES = (0.4, 0.85)
BLUR_SHARE = 0.3
NOISE = 0.04


@dataclass(frozen=True, slots=True)
class Pool:
    """Pictures (N, 3, 64, 64) uint8, and rows of each concept (by index) and of other things."""

    pictures: Tensor
    rows: tuple[tuple[int, ...], ...]
    scenes: tuple[Scene, ...]
    styles: tuple[int, ...]
    others: tuple[tuple[int, str], ...]

    def draw(self, count: int, random: np.random.Generator) -> tuple[Tensor, list[str]]:
        """`count` pictures of different things, with captions."""
        strange = min(round(count * OTHER_SHARE), len(self.others))
        concepts = random.permutation(len(self.rows))[: count - strange]
        rows = [int(random.choice(self.rows[concept])) for concept in concepts]
        captions = [self._caption(int(c), r, random) for c, r in zip(concepts, rows, strict=True)]
        for index in random.permutation(len(self.others))[:strange]:
            row, label = self.others[int(index)]
            rows.append(row + int(random.integers(OTHER_LOOKS)))
            captions.append(label)
        return self.pictures[rows], captions

    def _caption(self, concept: int, row: int, random: np.random.Generator) -> str:
        if random.random() < WORD_SHARE:
            return str(random.choice(CONCEPTS[concept].words))
        text = caption(self.scenes[row], ALL_STYLES[self.styles[row]], random)
        return text or CONCEPTS[concept].name


def ensure_pool(cache: Path) -> Pool:
    """Paint every concept's drawings of every set, and some others once each; kept in the cache."""
    path = cache / "clip-pool.pt"
    codes = [concept.code for concept in CONCEPTS]
    if path.is_file():
        saved = torch.load(path, weights_only=False)
        if saved["codes"] == codes:
            pool: Pool = saved["pool"]
            return pool
    pool = _paint_pool(read_pack(ensure_pack(cache)), np.random.default_rng(11))
    save_state(path, {"codes": codes, "pool": pool})
    log.info("Painted %d pictures for CLIP", len(pool.pictures))
    return pool


@dataclass(frozen=True, slots=True)
class Composer:
    """Paints scenes that only their composition tells apart; drawings by (concept, style)."""

    drawings: dict[tuple[int, int], Picture]

    def draw(self, count: int, random: np.random.Generator) -> tuple[Tensor, list[str]]:
        """About `count` pictures (N, 3, 64, 64) uint8 with captions that say order and number."""
        order = random.permutation(len(CONCEPTS))
        pairs = max(1, round(count * ORDERED_SHARE / (ORDERED_SHARE + COUNTED_SHARE) / 2))
        scenes: list[Scene] = []
        for first, second in order[: 2 * pairs].reshape(-1, 2).tolist():
            if not is_pair_held_out(first, second):
                scenes += ordered_scenes(first, second, random)
        for concept in order[2 * pairs : 2 * pairs + max(1, (count - 2 * pairs) // 4)].tolist():
            allowed = [n for n in COUNTS if not is_count_held_out(concept, n)]
            scenes += counted_scenes(concept, allowed, random)
        return self.paint(scenes, random)

    def paint(
        self, scenes: Sequence[Scene], random: np.random.Generator
    ) -> tuple[Tensor, list[str]]:
        """Each scene in a random style, and what it shows in words."""
        painted, captions = [], []
        for scene in scenes:
            style = int(random.integers(len(STYLES)))
            parts = [self.drawings[part.concept, style].rgba for part in scene.parts]
            painted.append(shrink(paint_scene(parts, scene)))
            captions.append(caption(scene, STYLES[style], random, is_exact=True))
        return torch.from_numpy(np.stack(painted)).permute(0, 3, 1, 2), captions


def ordered_scenes(first: int, second: int, random: np.random.Generator) -> list[Scene]:
    """Two things side by side (or one above the other), in both orders."""
    canvas = (CANVAS_PX, CANVAS_PX)
    straight = draw_ordered(canvas, (first, second), random)
    turned = draw_ordered(canvas, (second, first), random)
    while turned.place != straight.place:
        turned = draw_ordered(canvas, (second, first), random)
    return [straight, turned]


def counted_scenes(concept: int, counts: Sequence[int], random: np.random.Generator) -> list[Scene]:
    """One thing once, and as often as each of `counts` says."""
    canvas = (CANVAS_PX, CANVAS_PX)
    several = [draw_several(canvas, concept, count, random) for count in counts]
    return [draw_single(canvas, concept, random), *several]


def augment(pictures: Tensor, random: np.random.Generator, *, small_share: float = 0.0) -> Tensor:
    """(B, 3, 64, 64) uint8 → float32 in [0, 1]: turned, scaled, shifted, blurred, with noise.

    `small_share` of them are made small and stand anywhere.
    """
    images = pictures.float() / 255
    count = len(images)
    turn = random.uniform(-MAX_TURN, MAX_TURN, count)
    is_small = random.random(count) < small_share
    scale = np.where(is_small, random.uniform(*SMALL_SCALES, count), random.uniform(*SCALES, count))
    # In the source's half widths: a small picture reaches the edge and no further.
    reach = np.where(is_small, (1 - scale) / scale, MAX_SHIFT)
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0] = theta[:, 1, 1] = np.cos(turn) / scale
    theta[:, 0, 1], theta[:, 1, 0] = -np.sin(turn) / scale, np.sin(turn) / scale
    theta[:, :, 2] = random.uniform(-1, 1, (count, 2)) * reach[:, None]
    shape = list(images.shape)
    grid = nn.functional.affine_grid(torch.from_numpy(theta), shape, align_corners=False)
    images = nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    blurred = torch.from_numpy(random.random(count) < BLUR_SHARE)
    if bool(blurred.any()):
        images[blurred] = nn.functional.avg_pool2d(images[blurred], 3, stride=1, padding=1)
    noise = torch.from_numpy(random.standard_normal(shape, np.float32))
    strength = torch.from_numpy(random.uniform(0, NOISE, (count, 1, 1, 1)).astype(np.float32))
    return (images + noise * strength).clamp(0, 1)


def shrink(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 → (64, 64, 3) uint8."""
    small = Image.fromarray(pixels).resize((IMAGE_PX, IMAGE_PX), Image.Resampling.BICUBIC)
    return np.asarray(small)


def _paint_pool(pictures: list[Picture], random: np.random.Generator) -> Pool:
    codes = {concept.code: index for index, concept in enumerate(CONCEPTS)}
    styles = {style.key: index for index, style in enumerate(ALL_STYLES)}
    painted: list[np.ndarray] = []
    scenes: list[Scene] = []
    drawn: list[int] = []
    rows: list[list[int]] = [[] for _ in CONCEPTS]
    others: list[tuple[int, str]] = []
    for picture in pictures:
        concept = codes.get(picture.code)
        if concept is None:
            others.append((len(painted), picture.label))
        for _ in range(OTHER_LOOKS if concept is None else LOOKS):
            # Colours are held out by concept; things outside the list take the first one's.
            scene = draw_single((CANVAS_PX, CANVAS_PX), concept or 0, random)
            if concept is not None:
                rows[concept].append(len(painted))
            painted.append(shrink(paint_scene([picture.rgba], scene)))
            scenes.append(scene)
            drawn.append(styles[picture.style])
    pixels = torch.from_numpy(np.stack(painted)).permute(0, 3, 1, 2).contiguous()
    return Pool(pixels, tuple(map(tuple, rows)), tuple(scenes), tuple(drawn), tuple(others))
