"""Samplers over a model's own timesteps: DDIM, DDIM CFG++ and PLMS.

x is in the model's scale (variance preserving) and the model gives epsilon. As in A1111 1.10,
the walk ends at the lowest timestep without a network call there. UniPC has its own file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.sampling.walk import Model, Walk


def make_timesteps(steps: int, total: int) -> Tensor:
    """Ascending timesteps 1, 1 + stride, ... with stride total // steps; int64.

    There can be more than `steps` of them: A1111 1.10 behaviour.
    """
    stride = max(total // steps, 1)
    return (torch.arange(0, total, stride) + 1).clamp(0, total - 1)


@dataclass(frozen=True, slots=True)
class _Level:
    """One step: the timestep, alphas_cumprod there and at the next, and the noise to add."""

    t: Tensor
    alpha: float
    alpha_next: float
    spread: float = 0.0

    def clean(self, x: Tensor, eps: Tensor) -> Tensor:
        """x0 (Song et al. 2020, eq. 9)."""
        return (x - math.sqrt(1 - self.alpha) * eps) / math.sqrt(self.alpha)

    def move(self, clean: Tensor, eps: Tensor) -> Tensor:
        """x at the next level without fresh noise (Song et al. 2020, eq. 12)."""
        towards = math.sqrt(1 - self.alpha_next - self.spread**2)
        return math.sqrt(self.alpha_next) * clean + towards * eps


def ddim(model: Model, x: Tensor, timesteps: Tensor, walk: Walk) -> Tensor:
    """Denoising diffusion implicit models (Song et al. 2020, eq. 12 and 16)."""
    for step, level in enumerate(_levels(timesteps, walk, walk.eta)):
        eps = model(x, level.t)
        clean = level.clean(x, eps)
        walk.report(step, level.t, clean)
        x = level.move(clean, eps) + level.spread * walk.noise(level.t, level.t)
    return x


def ddim_cfgpp(model: Model, x: Tensor, timesteps: Tensor, walk: Walk) -> Tensor:
    """DDIM that renoises with the negative's epsilon (Chung et al. 2024, "CFG++", algorithm 2)."""
    for step, level in enumerate(_levels(timesteps, walk, walk.eta)):
        eps = model(x, level.t)
        clean = level.clean(x, eps)
        walk.report(step, level.t, clean)
        moved = level.move(clean, walk.last_uncond())
        x = moved + level.spread * walk.noise(level.t, level.t)
    return x


def plms(model: Model, x: Tensor, timesteps: Tensor, walk: Walk) -> Tensor:
    """Pseudo linear multistep (Liu et al. 2022, eq. 12), started by an improved Euler step."""
    levels = list(_levels(timesteps, walk, eta=0.0))
    past: list[Tensor] = []
    for step, level in enumerate(levels):
        eps = model(x, level.t)
        if not past:
            following = timesteps[max(len(timesteps) - 2, 0)]
            ahead = model(level.move(level.clean(x, eps), eps), following)
            mixed = (eps + ahead) / 2
        else:
            mixed = _adams_bashforth([eps, *past])
        past = [eps, *past][:3]
        clean = level.clean(x, mixed)
        walk.report(step, level.t, clean)
        x = level.move(clean, mixed)
    return x


def _levels(timesteps: Tensor, walk: Walk, eta: float) -> Iterator[_Level]:
    """The steps from the highest timestep down; eta as in Song et al. 2020, eq. 16."""
    alphas = walk.schedule.alphas_cumprod.double().cpu()
    rows = [int(t) for t in timesteps]
    for row, row_next in zip(reversed(rows[1:]), reversed(rows[:-1])):
        alpha, alpha_next = float(alphas[row]), float(alphas[row_next])
        variance = (1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next)
        yield _Level(torch.tensor(row), alpha, alpha_next, eta * math.sqrt(variance))


def _adams_bashforth(eps: Sequence[Tensor]) -> Tensor:
    """Epsilon extrapolated from up to four values, newest first."""
    if len(eps) == 2:
        return (3 * eps[0] - eps[1]) / 2
    if len(eps) == 3:
        return (23 * eps[0] - 16 * eps[1] + 5 * eps[2]) / 12
    return (55 * eps[0] - 59 * eps[1] + 37 * eps[2] - 9 * eps[3]) / 24
