"""Whether a checkpoint is an instruct-pix2pix model, from its header; the form asks.

Such a model takes the picture beside the noise, and so has twice the channels at its first
convolution (Brooks et al. 2023, section 3.2). Reads only the header and loads no torch: the page
asks before torch is there.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open

from modules.model_manager.kinds import FIRST_CONVOLUTION

log = logging.getLogger(__name__)

CHANNELS: Final = 8
"""Four of the noise, four of the picture."""


def is_edit_model(path: Path) -> bool:
    """Whether the model at `path`, a safetensors file or a diffusers folder, edits pictures.

    False for what cannot be read; loading it says why.
    """
    try:
        if path.is_dir():
            config = json.loads((path / "unet" / "config.json").read_text(encoding="utf-8"))
            return bool(config.get("in_channels") == CHANNELS)
        if path.suffix == ".safetensors":
            with safe_open(path, "np") as file:
                shape = file.get_slice(FIRST_CONVOLUTION).get_shape()
            return bool(len(shape) == 4 and shape[1] == CHANNELS)
    except (OSError, ValueError, SafetensorError, AttributeError) as error:
        log.debug("No input channels in %s: %s", path, error)
    return False
