"""Makes training pictures out of drawings.

Pure functions of their arguments and a random generator. Must not know files, tensors or models.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from tools.embedded_model.concepts import COLOURS, TINTS, Rgb

CANVAS_PX = 128
SCALES = (0.84, 0.96)
JITTER_PX = 4
MIRROR_SHARE = 0.25
WHITE: Rgb = (255, 255, 255)
# Shares of the four looks: plain, coloured background, tinted, tinted on a coloured background.
LOOK_SHARES = (0.63, 0.2, 0.12, 0.05)


@dataclass(frozen=True, slots=True)
class Look:
    """How a drawing is placed: colours by name or None, mirrored or not, size and corner in px."""

    background: str | None
    tint: str | None
    is_mirrored: bool
    size_px: int
    left_px: int
    top_px: int


def draw_look(random: np.random.Generator) -> Look:
    """Draw colours, mirroring, size and place."""
    kind = random.choice(4, p=LOOK_SHARES)
    tint = str(random.choice(TINTS)) if kind >= 2 else None
    colours = [name for name in COLOURS if name != tint]
    background = str(random.choice(colours)) if kind in (1, 3) else None
    size = round(CANVAS_PX * random.uniform(*SCALES))
    corner = (CANVAS_PX - size) // 2 + random.integers(-JITTER_PX, JITTER_PX + 1, 2)
    left, top = np.clip(corner, 0, CANVAS_PX - size)
    return Look(background, tint, bool(random.random() < MIRROR_SHARE), size, int(left), int(top))


def paint(rgba: np.ndarray, look: Look) -> np.ndarray:
    """Drawing (128, 128, 4) uint8 → picture (128, 128, 3) uint8 on its background."""
    if look.tint is not None:
        rgba = duotone(rgba, COLOURS[look.tint])
    image = Image.fromarray(rgba)
    if look.is_mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = image.resize((look.size_px, look.size_px), Image.Resampling.BICUBIC)
    ground = WHITE if look.background is None else COLOURS[look.background]
    canvas = Image.new("RGB", (CANVAS_PX, CANVAS_PX), ground)
    canvas.paste(image, (look.left_px, look.top_px), image)
    return np.asarray(canvas)


def duotone(rgba: np.ndarray, colour: Rgb) -> np.ndarray:
    """Replace hue by `colour`, keep light and dark: dark third → full tint → nearly white."""
    luma = rgba[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    middle = np.array(colour, np.float32)
    dark, light = middle * 0.3, middle * 0.25 + 255 * 0.75
    low = np.clip(luma * 2, 0, 1)[..., None]
    high = np.clip(luma * 2 - 1, 0, 1)[..., None]
    tinted = (dark + (middle - dark) * low) * (1 - high) + light * high
    return np.concatenate([tinted.round().astype(np.uint8), rgba[..., 3:]], -1)
