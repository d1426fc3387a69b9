"""What a request asks of the model manager, as values. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modules.model_manager.catalogue import Checkpoint
from modules.model_manager.vae import AUTOMATIC

Fp8Storage = Literal["Disable", "Enable for SDXL", "Enable"]


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What a request asks for; names as the settings hold them."""

    checkpoint: str | None = None
    """None: the one of `--ckpt`, else the first of the catalogue."""
    vae: str = AUTOMATIC
    vae_wins: bool = True
    """Whether `vae`, where it is not Automatic, goes before a checkpoint's preferred VAE."""
    fp8: Fp8Storage = "Disable"
    """Whether the network's weights are kept in 8 bits."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> ModelChoice:
        """The choice that A1111's settings make."""
        return cls(
            checkpoint=settings["sd_model_checkpoint"] or None,
            vae=settings["sd_vae"],
            vae_wins=settings["sd_vae_overrides_per_model_preferences"],
            fp8=settings["fp8_storage"],
        )


@dataclass(frozen=True, slots=True)
class ResolvedChoice:
    """The files that a choice means."""

    checkpoint: Checkpoint
    vae: Path | None
    """None: the checkpoint's own."""
    fp8: Fp8Storage = "Disable"
