"""The picture size that an LDM `.yaml` names; read for the page, so without torch."""

from __future__ import annotations

from pathlib import Path

import yaml

CELL = 8
"""Pixels per latent."""


def read_native_size(config: Path) -> int | None:
    """Side in pixels: `image_size` of the model, in latents, times 8; None if it says nothing."""
    try:
        tree = yaml.safe_load(config.read_text(encoding="utf-8"))
        size = tree["model"]["params"]["image_size"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
    return size * CELL if isinstance(size, int) and size > 0 else None
