"""A small classifier of the concepts, trained on real drawings only, apart from the generator.

It sees the drawings of every set in looks painted for it alone, on canvases of the sizes that it
will judge; the last looks of CLIP's pool are kept from it and say how often it is right.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from tools.embedded_model.clip_data import LOOKS, Pool, augment, ensure_pool
from tools.embedded_model.concepts import CONCEPTS
from tools.embedded_model.data import Picture, ensure_pack, read_pack
from tools.embedded_model.mixed import save_state
from tools.embedded_model.scenes import Scene, draw_single, paint_scene

log = logging.getLogger(__name__)

INPUT_PX = 64
WIDTHS = (3, 48, 96, 160, 256)
# Of each drawing's looks in the pool, the last ones are never trained on.
HELD_OUT_LOOKS = 3
CANVASES_PX = (64, 96, 128, 160, 192)
PAINTED_LOOKS = 24
# Half of the small drawings were mistaken when only the pool's own few were trained on.
SMALL_SHARE = 0.25
ROUNDS = 8
# The learning rate rises for so long, then falls to nothing.
RISE_SHARE = 0.525
BATCH = 64
RATE = 3e-3


class Classifier(nn.Module):
    """(B, 3, 64, 64) in [-1, 1] → logits (B, classes), one for each concept by default."""

    def __init__(self, classes: int = len(CONCEPTS)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(WIDTHS):
            layers += [nn.Conv2d(narrow, wide, 3, padding=1, stride=2), nn.BatchNorm2d(wide)]
            layers += [nn.ReLU(), nn.Conv2d(wide, wide, 3, padding=1), nn.BatchNorm2d(wide)]
            layers += [nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(2), nn.Flatten())
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(4 * WIDTHS[-1], classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits of each class."""
        logits: Tensor = self.head(self.body(images))
        return logits


def ensure_classifier(cache: Path) -> tuple[Classifier, float]:
    """Train once for each list of concepts; return it and its top-1 share on held-out looks."""

    def paint() -> tuple[Tensor, Tensor]:
        pool = ensure_pool(cache)
        return paint_looks(read_pack(ensure_pack(cache)), held_out_scenes(pool))

    return ensure_trained(
        cache, "classifier", len(CONCEPTS), paint, lambda model: measure(model, ensure_pool(cache))
    )


def ensure_trained(
    cache: Path,
    name: str,
    classes: int,
    paint: Callable[[], tuple[Tensor, Tensor]],
    rate: Callable[[Classifier], float],
) -> tuple[Classifier, float]:
    """Train on what `paint` gives, once; return it and what `rate` said of it.

    A killed training goes on from its last whole round.
    """
    path, partial = cache / f"{name}.pt", cache / f"{name}-partial.pt"
    model = Classifier(classes)
    state = torch.load(path) if path.is_file() else {}
    if not _is_fitting(state):
        started = time.monotonic()
        looks = paint()
        torch.manual_seed(0)
        model = Classifier(classes)
        for turn, loss in fit(model, partial, looks):
            log.info("%s: round %d of %d, loss %.3f", name, turn, ROUNDS, loss)
        state = _named({"weights": model.state_dict(), "accuracy": rate(model)})
        save_state(path, state)
        partial.unlink(missing_ok=True)
        minutes = (time.monotonic() - started) / 60
        log.info("%s: %.4f right, %.1f min", name, state["accuracy"], minutes)
    model.load_state_dict(state["weights"])
    return model.eval(), state["accuracy"]


@torch.inference_mode()
def ranks(model: Classifier, pictures: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
    """Pictures (B, 128, 128, 3) uint8 → rank (0 = first) of each wanted concept, (B,) int."""
    small = np.stack([shrink(picture) for picture in pictures])
    images = torch.from_numpy(small).permute(0, 3, 1, 2).float() / 127.5 - 1
    logits = torch.cat([model(part) for part in torch.split(images, BATCH)])
    own = logits.gather(1, torch.tensor(list(wanted))[:, None])
    return (logits > own).sum(1).numpy()


@torch.inference_mode()
def measure(model: Classifier, pool: Pool) -> float:
    """Share of the pool's held-out looks, turned and blurred as CLIP sees them, named rightly."""
    model.eval()
    random = np.random.default_rng(7)
    tests = held_out_rows(pool)
    right = 0
    for part in torch.split(tests, BATCH):
        found = model(prepare(pool.pictures[part[:, 0]], random)).argmax(1)
        right += int((found == part[:, 1]).sum())
    return right / len(tests)


def held_out_rows(pool: Pool) -> Tensor:
    """(N, 2) int64: row in the pool, concept; the last looks of each drawing."""
    return torch.tensor(
        [
            (row, concept)
            for concept, rows in enumerate(pool.rows)
            for index, row in enumerate(rows)
            if index % LOOKS >= LOOKS - HELD_OUT_LOOKS
        ]
    )


def held_out_scenes(pool: Pool) -> set[Scene]:
    """What is never painted for the training."""
    return {pool.scenes[row] for row in held_out_rows(pool)[:, 0].tolist()}


def paint_looks(
    pictures: Sequence[Picture], held_out: set[Scene], looks: int = PAINTED_LOOKS
) -> tuple[Tensor, Tensor]:
    """New looks of the concepts' drawings: (N, 3, 64, 64) uint8 and concepts (N,) int64."""
    random = np.random.default_rng(23)
    codes = {concept.code: index for index, concept in enumerate(CONCEPTS)}
    painted, concepts = [], []
    for picture in pictures:
        concept = codes.get(picture.code)
        for _ in range(0 if concept is None else looks):
            scene = _draw_scene(concept or 0, held_out, random)
            painted.append(shrink(paint_scene([picture.rgba], scene)))
            concepts.append(concept)
    pixels = torch.from_numpy(np.stack(painted)).permute(0, 3, 1, 2).contiguous()
    return pixels, torch.tensor(concepts)


def _draw_scene(concept: int, held_out: set[Scene], random: np.random.Generator) -> Scene:
    while True:
        side = int(random.choice(CANVASES_PX))
        scene = draw_single((side, side), concept, random)
        if scene not in held_out:
            return scene


def fit(model: Classifier, path: Path, looks: tuple[Tensor, Tensor]) -> Iterator[tuple[int, float]]:
    """Train for `ROUNDS`, yielding each one's number and mean loss.

    `path` then holds what a later call needs to go on from there as if nothing had happened.
    """
    steps = ROUNDS * (len(looks[0]) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, total_steps=steps, pct_start=RISE_SHARE
    )
    model.to(memory_format=torch.channels_last)
    parts = {"model": model, "optimiser": optimiser, "schedule": schedule}
    state = torch.load(path) if path.is_file() else {}
    is_resumed = _is_fitting(state)
    if is_resumed:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    for turn in range(state["rounds"] if is_resumed else 0, ROUNDS):
        loss = _run_round(model, optimiser, schedule, looks, seed=turn)
        state = {name: part.state_dict() for name, part in parts.items()}
        save_state(path, _named(state | {"rounds": turn + 1}))
        yield turn + 1, loss


def _run_round(
    model: Classifier,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    looks: tuple[Tensor, Tensor],
    *,
    seed: int,
) -> float:
    """One pass over all looks; the mean loss."""
    pictures, concepts = looks
    torch.manual_seed(seed)  # dropout
    random = np.random.default_rng(seed)
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))
    losses = []
    model.train()
    for part in torch.split(order, BATCH)[: len(pictures) // BATCH]:
        images = prepare(pictures[part], random, small_share=SMALL_SHARE)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(images.contiguous(memory_format=torch.channels_last))
        loss = nn.functional.cross_entropy(logits.float(), concepts[part], label_smoothing=0.05)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return sum(losses) / len(losses)


def prepare(pictures: Tensor, random: np.random.Generator, *, small_share: float = 0.0) -> Tensor:
    """Pictures (B, 3, 64, 64) uint8 → (B, 3, 64, 64) in [-1, 1], augmented, half mirrored."""
    images = augment(pictures, random, small_share=small_share) * 2 - 1
    return images.flip(3) if random.random() < 0.5 else images


def _named(state: dict[str, Any]) -> dict[str, Any]:
    """With what it was made for."""
    codes = [concept.code for concept in CONCEPTS]
    return state | {"codes": codes, "widths": WIDTHS, "planned": ROUNDS}


def _is_fitting(state: dict[str, Any]) -> bool:
    """Whether it was made for these concepts, this shape and this many rounds."""
    return all(state.get(name) == value for name, value in _named({}).items())


def shrink(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 → (64, 64, 3) uint8."""
    small = Image.fromarray(pixels).resize((INPUT_PX, INPUT_PX), Image.Resampling.BOX)
    return np.asarray(small)
