"""A small classifier of the concepts, trained on real drawings only, apart from the generator."""

import logging
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from tools.embedded_model.clip_data import LOOKS, Pool, augment, ensure_pool
from tools.embedded_model.concepts import CONCEPTS

log = logging.getLogger(__name__)

INPUT_PX = 64
# Of each drawing's looks, the last ones are never trained on.
HELD_OUT_LOOKS = 3
ROUNDS = 6
BATCH = 64


class Classifier(nn.Module):
    """(B, 3, 64, 64) in [-1, 1] → logits (B, concepts)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, 192)
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [nn.Conv2d(narrow, wide, 3, padding=1, stride=2), nn.BatchNorm2d(wide)]
            layers += [nn.ReLU(), nn.Conv2d(wide, wide, 3, padding=1), nn.BatchNorm2d(wide)]
            layers += [nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(2), nn.Flatten())
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(4 * widths[-1], len(CONCEPTS)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits over `CONCEPTS`."""
        logits: Tensor = self.head(self.body(images))
        return logits


def ensure_classifier(cache: Path) -> tuple[Classifier, float]:
    """Train once for each list of concepts; return it and its top-1 share on held-out looks."""
    path = cache / "classifier.pt"
    model = Classifier()
    codes = [concept.code for concept in CONCEPTS]
    if not path.is_file() or torch.load(path)["codes"] != codes:
        started = time.monotonic()
        accuracy = _train(model, ensure_pool(cache))
        torch.save({"weights": model.state_dict(), "accuracy": accuracy, "codes": codes}, path)
        minutes = (time.monotonic() - started) / 60
        log.info("Classifier: top-1 %.3f, %.1f min", accuracy, minutes)
    state = torch.load(path)
    model.load_state_dict(state["weights"])
    return model.eval(), state["accuracy"]


@torch.inference_mode()
def ranks(model: Classifier, pictures: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
    """Pictures (B, 128, 128, 3) uint8 → rank (0 = first) of each wanted concept, (B,) int."""
    small = np.stack([_shrink(picture) for picture in pictures])
    images = torch.from_numpy(small).permute(0, 3, 1, 2).float() / 127.5 - 1
    logits = torch.cat([model(part) for part in torch.split(images, BATCH)])
    own = logits.gather(1, torch.tensor(list(wanted))[:, None])
    return (logits > own).sum(1).numpy()


def _train(model: Classifier, pool: Pool) -> float:
    torch.manual_seed(0)
    random = np.random.default_rng(7)
    shown, tests = _split(pool, held_out=False), _split(pool, held_out=True)
    _fit(model, pool.pictures, shown, random)
    model.eval()
    right = 0
    with torch.inference_mode():
        for part in torch.split(tests, BATCH):
            found = model(_prepare(pool.pictures[part[:, 0]], random)).argmax(1)
            right += int((found == part[:, 1]).sum())
    return right / len(tests)


def _split(pool: Pool, *, held_out: bool) -> Tensor:
    """(N, 2) int64: row in the pool, concept; either the trained or the held-out looks."""
    kept = LOOKS - HELD_OUT_LOOKS
    return torch.tensor(
        [
            (row, concept)
            for concept, rows in enumerate(pool.rows)
            for index, row in enumerate(rows)
            if (index % LOOKS >= kept) == held_out
        ]
    )


def _fit(model: Classifier, pictures: Tensor, rows: Tensor, random: np.random.Generator) -> None:
    steps = ROUNDS * (len(rows) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    model.train()
    for turn in range(ROUNDS):
        order = torch.randperm(len(rows))
        for start in range(0, len(rows) - BATCH + 1, BATCH):
            part = rows[order[start : start + BATCH]]
            images = _prepare(pictures[part[:, 0]], random)
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(images)
            loss = nn.functional.cross_entropy(logits.float(), part[:, 1], label_smoothing=0.05)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
        log.info("Classifier: round %d of %d, loss %.3f", turn + 1, ROUNDS, float(loss.detach()))


def _prepare(pictures: Tensor, random: np.random.Generator) -> Tensor:
    """Pool rows (B, 3, 64, 64) uint8 → (B, 3, 64, 64) in [-1, 1], augmented, half mirrored."""
    images = augment(pictures, random) * 2 - 1
    return images.flip(3) if random.random() < 0.5 else images


def _shrink(pixels: np.ndarray) -> np.ndarray:
    small = Image.fromarray(pixels).resize((INPUT_PX, INPUT_PX), Image.Resampling.BOX)
    return np.asarray(small)
