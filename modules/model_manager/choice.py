"""What a request asks of the model manager, as values. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.model_manager.catalogue import Checkpoint
from modules.model_manager.vae import AUTOMATIC


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What a request asks for; names as the settings hold them."""

    checkpoint: str | None = None
    """None: the one of `--ckpt`, else the first of the catalogue."""
    vae: str = AUTOMATIC

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> ModelChoice:
        """The choice that A1111's settings sd_model_checkpoint and sd_vae make."""
        return cls(settings["sd_model_checkpoint"] or None, settings["sd_vae"])


@dataclass(frozen=True, slots=True)
class ResolvedChoice:
    """The files that a choice means."""

    checkpoint: Checkpoint
    vae: Path | None
    """None: the checkpoint's own."""
