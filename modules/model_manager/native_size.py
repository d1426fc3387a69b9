"""The size of picture that a checkpoint makes best, from its header; the form starts with it.

Reads only the header and loads no torch: the page asks before torch is there.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open

log = logging.getLogger(__name__)

DEFAULT_SIZE: Final = 512
_SIZES: Final = (("conditioner.embedders.", 1024), ("cond_stage_model.model.", 768))
"""Beginnings of tensor names that only SDXL, and only SD 2 have, and the sizes of these."""


def read_native_size(path: Path) -> int:
    """Side in pixels of the squares that the model at `path` was trained on.

    A model that states its resolution (metadata `modelspec.resolution`, ModelSpec 1.0) is
    believed; a diffusers folder says it in its UNet's config; else the family tells.
    """
    try:
        if path.is_dir():
            return _of_folder(path)
        if path.suffix == ".safetensors":
            return _of_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        log.debug("No native size in %s: %s", path, error)
    return DEFAULT_SIZE


def _of_file(path: Path) -> int:
    with safe_open(path, "np") as file:
        stated = re.match(r"(\d+)x(\d+)", (file.metadata() or {}).get("modelspec.resolution", ""))
        if stated:
            return min(int(stated[1]), int(stated[2]))
        names = list(file.keys())
    return next(
        (size for start, size in _SIZES if any(name.startswith(start) for name in names)),
        DEFAULT_SIZE,
    )


def _of_folder(path: Path) -> int:
    config = json.loads((path / "unet" / "config.json").read_text(encoding="utf-8"))
    return int(config.get("sample_size") or DEFAULT_SIZE // 8) * 8
