"""Restart sampling (Xu et al. 2023, arXiv 2306.14878): Heun steps, with part of the way
walked again from a higher noise level.

How many steps the restarts get at which step count is A1111 1.10 behaviour.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from modules.sampling.euler import heun_step
from modules.sampling.walk import Model, Walk

RESTART_FROM_SIGMA = 0.1
RESTART_TO_SIGMA = 2.0
RHO = 7.0


@dataclass(frozen=True, slots=True)
class RestartPlan:
    """`times` walks of `steps` Heun steps each, beside the main way's own steps."""

    steps: int
    times: int


def restart_plan(steps: int) -> RestartPlan:
    """How a budget of `steps` is shared: no restart below 20, two from 36 on."""
    if steps >= 36:
        return RestartPlan(steps // 4, 2)
    if steps >= 20:
        return RestartPlan(9, 1)
    return RestartPlan(0, 0)


def restart(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """Restart sampling over sigmas[0]..sigmas[-2]; below 20 steps it is Heun."""
    reached = sigmas[0]
    for step, (sigma, sigma_next) in enumerate(_steps(sigmas)):
        if sigma > reached:
            noise = walk.noise(reached, sigma) * walk.s_noise
            x = x + noise * (sigma**2 - reached**2) ** 0.5
        denoised = model(x, sigma)
        walk.report(step, sigma, denoised)
        x = heun_step(model, x, denoised, sigma, sigma_next)
        reached = sigma_next
    return x


def _steps(sigmas: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """(from, to) of every step, restarts put in after the step that reaches sigma 0.1."""
    plan = restart_plan(len(sigmas) - 1)
    if not plan.times:
        yield from pairwise(sigmas)
        return
    main = len(sigmas) - 1 - plan.steps * plan.times
    sigmas = torch.cat([_karras(main, sigmas[-2], sigmas[0]), torch.zeros(1)])
    low = int((sigmas - RESTART_FROM_SIGMA).abs().argmin())
    high = int((sigmas - RESTART_TO_SIGMA).abs().argmin())
    for index, pair in enumerate(pairwise(sigmas), start=1):
        yield pair
        if index == low and high < low:
            again = _karras(plan.steps + 1, sigmas[low], sigmas[high])
            for _ in range(plan.times):
                yield from pairwise(again)


def _karras(count: int, sigma_min: Tensor, sigma_max: Tensor) -> Tensor:
    """`count` sigmas from high to low (Karras et al. 2022, eq. 5)."""
    ramp = torch.linspace(0, 1, count)
    low, high = float(sigma_min) ** (1 / RHO), float(sigma_max) ** (1 / RHO)
    sigmas: Tensor = (high + ramp * (low - high)) ** RHO
    return sigmas
