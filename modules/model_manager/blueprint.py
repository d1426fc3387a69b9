"""A model as configurations and weights under diffusers' names, whatever file they came from.

`ldm_file.py` and `diffusers_folder.py` make blueprints, `build.py` makes pipelines of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modules.core.errors import ModelError
from modules.model_manager.choice import Fp8Storage
from modules.model_manager.tensor_file import OnRead
from modules.pipelines.spec import EncoderSpec, Spec

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Part:
    """One network: the configuration of its class and its weights."""

    config: Mapping[str, Any]
    weights: Weights


@dataclass(frozen=True, slots=True)
class EncoderPart:
    """One text encoder. `vocabulary` is the folder of its tokenizer; None: CLIP's own."""

    row: EncoderSpec
    part: Part
    vocabulary: Path | None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model computes and in what, and what may be read for it."""

    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype
    fp8: Fp8Storage = "Disable"
    allow_pickles: bool = False
    on_read: OnRead | None = None
    """Hears where the weights of UNet and text encoders lie."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """Everything that a pipeline is built from."""

    path: Path
    spec: Spec
    unet: Part
    vae: Part
    encoders: tuple[EncoderPart, ...]
    alphas_cumprod: torch.Tensor
    """(T,) float32 on the CPU."""


def scaled_linear(start: float = 0.00085, end: float = 0.012, steps: int = 1000) -> torch.Tensor:
    """alphas_cumprod (steps,) float32 of LDM's "linear" schedule: betas linear in their roots."""
    betas = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0).float()


def checked_schedule(path: Path, alphas_cumprod: torch.Tensor) -> torch.Tensor:
    """The schedule as (T,) float32; ModelError where it does not fall from below 1 to above 0."""
    values = alphas_cumprod.detach().float().cpu().flatten()
    falls = bool((values[1:] < values[:-1]).all())
    if len(values) < 2 or not falls or not 0 <= values[-1] < values[0] < 1:
        raise ModelError(path, "holds a noise schedule (alphas_cumprod) that does not fall.")
    return values
