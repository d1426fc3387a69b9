"""What every sampler gets besides the model, and the two formulas that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.sampling.denoiser import NoiseSchedule
from modules.sampling.options import SamplerOptions

Model = Callable[[Tensor, Tensor], Tensor]
"""(x (B, C, h, w) float32, level 0-dim or (B,)) -> prediction: x0, or epsilon at timesteps."""


@dataclass(frozen=True, slots=True)
class Walk:
    """One run of a sampler.

    noise: (level, next level) -> (B, C, h, w) fresh standard normal noise.
    report: called once a step with (0-based step, level, denoised); raises to stop the run.
    steps: the step count that DPM fast divides up; other samplers read their schedule.
    schedule: the model's noise table.
    last_uncond: the negative's prediction of the last network call (CFG++).
    starts_midway: whether x holds a picture already (img2img).
    """

    noise: Callable[[Tensor, Tensor], Tensor]
    report: Callable[[int, Tensor, Tensor], None]
    steps: int
    schedule: NoiseSchedule
    last_uncond: Callable[[], Tensor]
    options: SamplerOptions
    starts_midway: bool = False
    eta: float = 1.0
    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = float("inf")
    s_noise: float = 1.0


Sampler = Callable[[Model, Tensor, Tensor, Walk], Tensor]
"""(model, x (B, C, h, w), levels, walk) -> latent.

Levels are sigmas (n + 1,) descending, x noisy by sigmas[0]; or timesteps (n,) ascending, x in
the model's own scale, noisy by the last.
"""


def slope(x: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """dx/dsigma of the probability flow ODE (Karras et al. 2022, eq. 3)."""
    return (x - denoised) / sigma


def ancestral_step(sigma: Tensor, sigma_next: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """(sigma to step down to, sigma of the noise to add after), as DDPM (Ho et al. 2020) does."""
    if not eta:
        return sigma_next, torch.zeros_like(sigma_next)
    variance = sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2
    up = torch.minimum(sigma_next, eta * variance**0.5)
    return (sigma_next**2 - up**2) ** 0.5, up


def churn(x: Tensor, sigma: Tensor, count: int, walk: Walk) -> tuple[Tensor, Tensor]:
    """Noise added before a step: (x, its sigma) (Karras et al. 2022, algorithm 2, lines 4-6).

    The noise is drawn even where none is added, so that images agree with A1111's.
    """
    gamma = min(walk.s_churn / count, 2**0.5 - 1) if walk.s_tmin <= sigma <= walk.s_tmax else 0.0
    noise = walk.noise(sigma, sigma) * walk.s_noise
    raised = sigma * (gamma + 1)
    if gamma > 0:
        x = x + noise * (raised**2 - sigma**2) ** 0.5
    return x, raised
