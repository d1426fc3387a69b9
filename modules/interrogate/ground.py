"""A thing on a plain ground is easier to name on white. PIL and numpy only."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image

PLAIN_SHARE: Final = 0.95
"""So much of the picture's edge must have one colour."""
SAME: Final = 16.0
"""Levels (of 255) that a pixel of that colour may differ by, in any channel."""
OTHER: Final = 72.0
"""Levels from which on a pixel is all thing; between the two it is mixed, as at soft edges."""
LONGEST_SIDE: Final = 512


def on_white(image: Image.Image) -> Image.Image:
    """The RGB picture with its plain ground made white, at most 512 px; others as they are."""
    small = image.copy()
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    pixels = np.asarray(small, dtype=np.float32)
    ground = _plain_ground(pixels)
    if ground is None or float(ground.min()) > 255 - SAME:
        return image
    distance = np.abs(pixels - ground).max(axis=2, keepdims=True)
    thing = ((distance - SAME) / (OTHER - SAME)).clip(0, 1)
    mixed = thing * pixels + (1 - thing) * 255
    return Image.fromarray(mixed.round().astype(np.uint8))


def _plain_ground(pixels: np.ndarray) -> np.ndarray | None:
    """The colour (3,) of the edge of (H, W, 3), None where it has several."""
    edge = np.concatenate((pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
    colour: np.ndarray = np.median(edge, axis=0)
    is_same = np.abs(edge - colour).max(axis=1) <= SAME
    return colour if float(is_same.mean()) >= PLAIN_SHARE else None
