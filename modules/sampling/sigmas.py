"""Noise schedules: pure functions from a number of steps to descending sigmas.

A row of `table.SCHEDULERS` names each; `make_sigmas` applies the settings as A1111 1.10 does. Every
schedule but KL Optimal ends with 0; KL Optimal ends at sigma_min.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modules.sampling.denoiser import NoiseSchedule
from modules.sampling.options import SamplerOptions
from modules.sampling.table import Scheduler

OLD_KARRAS_RANGE = (0.1, 10.0)

ALIGN_YOUR_STEPS_SD15 = (
    14.615,
    6.475,
    3.861,
    2.697,
    1.886,
    1.396,
    0.963,
    0.652,
    0.399,
    0.152,
    0.029,
)
ALIGN_YOUR_STEPS_SDXL = (
    14.615,
    6.315,
    3.771,
    2.181,
    1.342,
    0.862,
    0.555,
    0.380,
    0.234,
    0.113,
    0.029,
)


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """What a schedule may look at; sigmas are the model's or the settings'."""

    steps: int
    sigma_min: float
    sigma_max: float
    rho: float
    model: NoiseSchedule
    is_sdxl: bool
    beta_alpha: float
    beta_beta: float


Schedule = Callable[[ScheduleRequest], Tensor]


def uniform(request: ScheduleRequest) -> Tensor:
    """Timesteps equally spaced (k-diffusion `DiscreteSchedule.get_sigmas`)."""
    return request.model.uniform_sigmas(request.steps)


def karras(request: ScheduleRequest) -> Tensor:
    """Karras et al. 2022, eq. 5."""
    ramp = torch.linspace(0, 1, request.steps)
    low = request.sigma_min ** (1 / request.rho)
    high = request.sigma_max ** (1 / request.rho)
    return _end_with_zero((high + ramp * (low - high)) ** request.rho)


def exponential(request: ScheduleRequest) -> Tensor:
    """Equal steps in log sigma."""
    high, low = math.log(request.sigma_max), math.log(request.sigma_min)
    return _end_with_zero(torch.linspace(high, low, request.steps).exp())


def polyexponential(request: ScheduleRequest) -> Tensor:
    """A polynomial of degree rho in log sigma (k-diffusion)."""
    ramp = torch.linspace(1, 0, request.steps) ** request.rho
    low = math.log(request.sigma_min)
    return _end_with_zero(torch.exp(ramp * (math.log(request.sigma_max) - low) + low))


def sgm_uniform(request: ScheduleRequest) -> Tensor:
    """Timesteps equally spaced with the last one left out (Stability's generative models)."""
    first, last = _end_timesteps(request)
    t = torch.linspace(first, last, request.steps + 1)[:-1]
    return _end_with_zero(request.model.t_to_sigma(t))


def kl_optimal(request: ScheduleRequest) -> Tensor:
    """Sabour et al. 2024 ("Align Your Steps"), theorem 3.1; ends at sigma_min, without a 0."""
    low = torch.arctan(torch.tensor(request.sigma_min))
    high = torch.arctan(torch.tensor(request.sigma_max))
    ramp = torch.arange(request.steps + 1) / request.steps
    return torch.tan(ramp * low + (1.0 - ramp) * high)


def align_your_steps(request: ScheduleRequest) -> Tensor:
    """Sabour et al. 2024: tables of 11 sigmas, interpolated in log sigma for other counts."""
    table = ALIGN_YOUR_STEPS_SDXL if request.is_sdxl else ALIGN_YOUR_STEPS_SD15
    at = np.linspace(0, 1, len(table))
    wanted = np.linspace(0, 1, request.steps)
    sigmas = np.exp(np.interp(wanted, at[::1], np.log(table)))
    return _end_with_zero(torch.tensor(sigmas, dtype=torch.float32))


def simple(request: ScheduleRequest) -> Tensor:
    """Every (T / steps)-th row of the model's table, from the top."""
    stride = len(request.model) / request.steps
    rows = [-(1 + int(step * stride)) for step in range(request.steps)]
    return _end_with_zero(request.model.sigmas[rows].cpu())


def normal(request: ScheduleRequest) -> Tensor:
    """Timesteps equally spaced between those of sigma_max and sigma_min."""
    first, last = _end_timesteps(request)
    return _end_with_zero(request.model.t_to_sigma(torch.linspace(first, last, request.steps)))


def ddim_uniform(request: ScheduleRequest) -> Tensor:
    """The sigmas of DDIM's timesteps: every (T // steps)-th row from 1 (Song et al. 2020)."""
    stride = max(len(request.model) // request.steps, 1)
    rows = range(1, len(request.model), stride)
    return _end_with_zero(request.model.sigmas[list(rows)].cpu().flip(0))


def beta(request: ScheduleRequest) -> Tensor:
    """Sigmas spaced by a beta distribution's quantiles (Lee et al. 2024, "Beta Sampling")."""
    from scipy import stats  # heavy, and used by this schedule alone

    ramp = 1 - np.linspace(0, 1, request.steps)
    quantiles = stats.beta.ppf(ramp, request.beta_alpha, request.beta_beta)
    spread = request.sigma_max - request.sigma_min
    return _end_with_zero(torch.tensor(request.sigma_min + quantiles * spread).float())


def make_sigmas(
    scheduler: Scheduler,
    steps: int,
    model: NoiseSchedule,
    options: SamplerOptions,
    *,
    is_sdxl: bool = False,
) -> Tensor:
    """Descending float32 sigmas on the CPU for `steps` steps (steps + 1 values for most)."""
    low, high = model.sigma_min, model.sigma_max
    if options.use_old_karras_scheduler_sigmas:
        low, high = OLD_KARRAS_RANGE
    function = scheduler.schedule() or uniform
    request = ScheduleRequest(
        steps=steps,
        sigma_min=options.sigma_min or low,
        sigma_max=options.sigma_max or high,
        rho=options.rho or scheduler.default_rho,
        model=model,
        is_sdxl=is_sdxl,
        beta_alpha=options.beta_dist_alpha,
        beta_beta=options.beta_dist_beta,
    )
    return function(request)


def _end_with_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas.float(), torch.zeros(1)])


def _end_timesteps(request: ScheduleRequest) -> tuple[float, float]:
    """Timesteps of sigma_max and sigma_min."""
    ends = request.model.sigma_to_t(torch.tensor([request.sigma_max, request.sigma_min]))
    return float(ends[0]), float(ends[1])
