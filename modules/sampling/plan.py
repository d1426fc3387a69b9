"""What a run of sampling is given and tells: the model, the prompts, the plan, the listeners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from modules.sampling.conditioning import ImagePrompt, ScheduledCond
from modules.sampling.denoiser import Network
from modules.sampling.guidance import Blend, Effect, GuidanceHooks
from modules.sampling.options import SamplerOptions


@dataclass(frozen=True, slots=True)
class SampledModel:
    """A network with its noise table: (T,) float32 alphas_cumprod on the CPU."""

    network: Network
    alphas_cumprod: Tensor
    prediction: Literal["epsilon", "v"] = "epsilon"
    is_sdxl: bool = False


@dataclass(frozen=True, slots=True)
class Prompts:
    """One positive and one negative per image, encoded for one model."""

    positive: Sequence[ImagePrompt]
    negative: Sequence[ScheduledCond]
    empty: Tensor | None = None


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """How to sample one batch.

    sampler, scheduler: names of the tables (scheduler None: Automatic).
    image_cfg_scale: instruct-pix2pix models only. image_cond: (B, C, h, w) channels beside the
    latent. blend: puts the kept part of a picture back at each step (inpainting).
    """

    sampler: str
    steps: int
    cfg_scale: float
    scheduler: str | None = None
    options: SamplerOptions = field(default_factory=SamplerOptions)
    image_cfg_scale: float | None = None
    image_cond: Tensor | None = None
    blend: Blend | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """A picture to start from: latent (B, C, h, w) float32.

    fix_steps: walk exactly the plan's steps whatever the strength (hires passes, and img2img
    with `img2img_fix_steps`). extra_noise: share of the noise added once more.
    """

    latent: Tensor
    denoising_strength: float
    fix_steps: bool = False
    extra_noise: float = 0.0
    on_extra_noise: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step done: `step` of `steps` (from 1), its level, and x0 (B, C, h, w) as of now.

    The level is a sigma, or a timestep with DDIM, PLMS and UniPC. DPM fast leaps over numbers,
    DPM adaptive may take more steps than `steps`.
    """

    step: int
    steps: int
    sigma: float
    denoised: Tensor


StepCallback = Callable[[StepReport], bool]
"""Called after each step; True stops the run (Interrupted is raised)."""


@dataclass(frozen=True, slots=True)
class Refinement:
    """A second model for the last part of the way; `load` gives it when its time has come."""

    switch_at: float
    load: Callable[[], tuple[SampledModel, Prompts]]
    by_steps: bool = False


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told and asked during a run."""

    on_step: StepCallback | None = None
    hooks: GuidanceHooks = field(default_factory=GuidanceHooks)
    refinement: Refinement | None = None
    on_effect: Callable[[Effect], None] = lambda effect: None
    """Called each time that a setting took effect."""
