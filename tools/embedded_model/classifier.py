"""A small classifier of the concepts, trained on real drawings only, apart from the generator."""

import logging
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor, nn

from tools.embedded_model.compose import draw_look, paint
from tools.embedded_model.concepts import CONCEPTS
from tools.embedded_model.data import Picture, read_pack
from tools.embedded_model.latents import to_tensor

log = logging.getLogger(__name__)

INPUT_PX = 64
LOOKS = 40
HELD_OUT_LOOKS = 8
ROUNDS = 5
BATCH = 64
MAX_TURN_DEGREES = 15


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


def ensure_classifier(
    cache: Path, *, held_out_style: str | None = None
) -> tuple[Classifier, float]:
    """Train once; return it and its top-1 share on held-out real pictures.

    Held out are looks never trained on or, with `held_out_style`, a whole set of drawings.
    """
    path = cache / f"classifier-{held_out_style or 'all'}.pt"
    model = Classifier()
    if not path.is_file():
        started = time.monotonic()
        accuracy = _train(model, read_pack(cache / "pictures.npz"), held_out_style)
        torch.save({"weights": model.state_dict(), "accuracy": accuracy}, path)
        minutes = (time.monotonic() - started) / 60
        log.info("Classifier %s: top-1 %.3f, %.1f min", path.stem, accuracy, minutes)
    state = torch.load(path)
    model.load_state_dict(state["weights"])
    return model.eval(), state["accuracy"]


@torch.inference_mode()
def ranks(model: Classifier, pictures: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
    """Pictures (B, 128, 128, 3) uint8 → rank (0 = first) of each wanted concept, (B,) int."""
    small = np.stack([_shrink(picture) for picture in pictures])
    logits = torch.cat([model(part) for part in torch.split(to_tensor(small), BATCH)])
    own = logits.gather(1, torch.tensor(list(wanted))[:, None])
    return (logits > own).sum(1).numpy()


def _train(model: Classifier, pictures: Sequence[Picture], held_out_style: str | None) -> float:
    torch.manual_seed(0)
    random = np.random.default_rng(7)
    codes = {concept.code: index for index, concept in enumerate(CONCEPTS)}
    known = [picture for picture in pictures if picture.code in codes]
    shown = [picture for picture in known if picture.style != held_out_style]
    hidden = [p for p in known if p.style == held_out_style] if held_out_style else known
    images, labels = _draw(shown, LOOKS, codes, random)
    tests, answers = _draw(hidden, HELD_OUT_LOOKS, codes, random)
    _fit(model, images, labels)
    model.eval()
    with torch.inference_mode():
        found = torch.cat([model(part).argmax(1) for part in torch.split(to_tensor(tests), BATCH)])
    return float((found == answers).float().mean())


def _fit(model: Classifier, images: np.ndarray, labels: Tensor) -> None:
    steps = ROUNDS * (len(images) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    model.train()
    for _ in range(ROUNDS):
        order = torch.randperm(len(images))
        for start in range(0, len(images) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            batch = to_tensor(images[rows.numpy()])
            if start // BATCH % 2:
                batch = batch.flip(3)
            loss = nn.functional.cross_entropy(model(batch), labels[rows], label_smoothing=0.05)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()


def _draw(
    pictures: Sequence[Picture], looks: int, codes: dict[str, int], random: np.random.Generator
) -> tuple[np.ndarray, Tensor]:
    images, labels = [], []
    for picture in pictures:
        for _ in range(looks):
            images.append(_shrink(_disturb(paint(picture.rgba, draw_look(random)), random)))
            labels.append(codes[picture.code])
    return np.stack(images), torch.tensor(labels)


def _disturb(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Turn, blur and add noise, so that the classifier looks at shapes, not at pixels."""
    image = Image.fromarray(pixels)
    ground = tuple(int(value) for value in pixels[0, 0])
    turn = random.uniform(-MAX_TURN_DEGREES, MAX_TURN_DEGREES)
    image = image.rotate(turn, Image.Resampling.BILINEAR, fillcolor=ground)
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0, 2.5)))
    noise = random.normal(0, random.uniform(0, 12), pixels.shape)
    return (np.asarray(image) + noise).clip(0, 255).astype(np.uint8)


def _shrink(pixels: np.ndarray) -> np.ndarray:
    small = Image.fromarray(pixels).resize((INPUT_PX, INPUT_PX), Image.Resampling.BOX)
    return np.asarray(small)
