"""DPM-Solver samplers (Lu et al. 2022a, arXiv 2206.00927), in t = -log(sigma).

DPM fast and DPM adaptive choose their own times between sigmas[0] and sigmas[-2].
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from modules.core.errors import BadInput
from modules.sampling.walk import Model, Walk, ancestral_step, churn, slope

RELATIVE_TOLERANCE = 0.05
ABSOLUTE_TOLERANCE = 0.0078
FIRST_STEP = 0.05
TIME_MARGIN = 1e-5
ADAPTIVE_STEP_LIMIT = 2000
"""Steps after which DPM adaptive will not arrive any more."""


def dpm_2(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """DPM-Solver-2 with the churn of Karras et al. 2022, algorithm 2."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x, sigma_hat = churn(x, sigma, len(sigmas) - 1, walk)
        denoised = model(x, sigma_hat)
        walk.report(step, sigma, denoised)
        x = _midpoint_step(model, x, denoised, sigma_hat, sigma_next)
    return x


def dpm_2_ancestral(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """DPM-Solver-2 to a lower sigma, and back up with fresh noise (k-diffusion)."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        walk.report(step, sigma, denoised)
        down, up = ancestral_step(sigma, sigma_next, walk.eta)
        x = _midpoint_step(model, x, denoised, sigma, down)
        if down > 0:
            x = x + walk.noise(sigma, sigma_next) * walk.s_noise * up
    return x


def dpm_fast(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """DPM-Solver-fast (section 3.4): `walk.steps` network calls in steps of order 3, 2 and 1."""
    start, end = -sigmas[0].log(), -sigmas[-2].log()
    whole, rest = divmod(walk.steps, 3)
    orders = [3] * whole + [rest] if rest else [3] * (whole - 1) + [2, 1]
    times = torch.linspace(float(start), float(end), len(orders) + 1)
    calls = 0
    for order, (t, t_next) in zip(orders, pairwise(times)):
        t_down, up = _step_down(t, t_next, end, walk.eta)
        stages = _Stages(model, x, t, t_down)
        walk.report(calls, t.neg().exp(), x - t.neg().exp() * stages.eps)
        calls += order
        x = (stages.first, stages.second, stages.third)[order - 1]()
        x = x + up * walk.s_noise * walk.noise(t.neg().exp(), t_next.neg().exp())
    return x


def dpm_adaptive(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """DPM-Solver-23 (appendix C) with step sizes from a PID controller (k-diffusion).

    Raises BadInput where the steps do not reach the end, as with a model that gives NaN.
    """
    t, end = -sigmas[0].log(), -sigmas[-2].log()
    control = _StepSize(FIRST_STEP, exponent=1 / 1.5 if walk.eta else 1 / 3)
    previous = x
    for step in range(ADAPTIVE_STEP_LIMIT):
        if t >= end - TIME_MARGIN:
            return x
        t_next = torch.minimum(end, t + control.size)
        t_down, up = _step_down(t, t_next, end, walk.eta)
        stages = _Stages(model, x, t, t_down)
        denoised = x - t.neg().exp() * stages.eps
        low, high = stages.second(r1=1 / 3), stages.third()
        scale = torch.clamp(
            RELATIVE_TOLERANCE * torch.maximum(low.abs(), previous.abs()), min=ABSOLUTE_TOLERANCE
        )
        error = float(torch.linalg.norm((low - high) / scale)) / x.numel() ** 0.5
        if not math.isfinite(error):
            break
        if control.accepts(error):
            previous = low
            x = high + up * walk.s_noise * walk.noise(t.neg().exp(), t_next.neg().exp())
            t = t_next
        walk.report(step, t.neg().exp(), denoised)
    raise BadInput("sampler_name", "DPM adaptive", "it does not converge here; choose another")


def _midpoint_step(
    model: Model, x: Tensor, denoised: Tensor, sigma: Tensor, sigma_next: Tensor
) -> Tensor:
    """A step by the slope at the geometric mean of the sigmas; plain Euler down to 0."""
    here = slope(x, sigma, denoised)
    if sigma_next == 0:
        return x + here * (sigma_next - sigma)
    middle = sigma.log().lerp(sigma_next.log(), 0.5).exp()
    halfway = x + here * (middle - sigma)
    return x + slope(halfway, middle, model(halfway, middle)) * (sigma_next - sigma)


def _step_down(t: Tensor, t_next: Tensor, end: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """(time to step to, sigma of the noise to add after) of an ancestral step."""
    if not eta:
        return t_next, torch.zeros_like(t_next)
    sigma_next = t_next.neg().exp()
    down, _ = ancestral_step(t.neg().exp(), sigma_next, eta)
    t_down = torch.minimum(end, -down.log())
    return t_down, (sigma_next**2 - t_down.neg().exp() ** 2) ** 0.5


class _Stages:
    """The steps of orders 1 to 3 from t to t_next; network calls are shared among them."""

    def __init__(self, model: Model, x: Tensor, t: Tensor, t_next: Tensor) -> None:
        self._model, self._x, self._t, self._h = model, x, t, t_next - t
        self._sigma_next = t_next.neg().exp()
        self._eps_at: dict[float, Tensor] = {}
        self.eps = self._epsilon(x, t)

    def first(self) -> Tensor:
        """DPM-Solver-1, eq. 3.7."""
        return self._x - self._sigma_next * self._h.expm1() * self.eps

    def second(self, r1: float = 1 / 2) -> Tensor:
        """DPM-Solver-2, algorithm 4."""
        change = self._epsilon_after(r1) - self.eps
        return self.first() - self._sigma_next / (2 * r1) * self._h.expm1() * change

    def third(self, r1: float = 1 / 3, r2: float = 2 / 3) -> Tensor:
        """DPM-Solver-3, algorithm 5."""
        later = self._t + r2 * self._h
        sigma, part = later.neg().exp(), r2 * self._h
        change = self._epsilon_after(r1) - self.eps
        stage = self._x - sigma * part.expm1() * self.eps
        stage = stage - sigma * (r2 / r1) * (part.expm1() / part - 1) * change
        total = self._epsilon(stage, later) - self.eps
        return self.first() - self._sigma_next / r2 * (self._h.expm1() / self._h - 1) * total

    def _epsilon_after(self, r1: float) -> Tensor:
        """Epsilon after a first-order step over the part r1 of the interval."""
        if r1 not in self._eps_at:
            t = self._t + r1 * self._h
            stage = self._x - t.neg().exp() * (r1 * self._h).expm1() * self.eps
            self._eps_at[r1] = self._epsilon(stage, t)
        return self._eps_at[r1]

    def _epsilon(self, x: Tensor, t: Tensor) -> Tensor:
        sigma = t.neg().exp()
        return (x - self._model(x, sigma)) / sigma


@dataclass(slots=True)
class _StepSize:
    """Step size in log sigma from the error of the last step: an integral controller.

    accept_safety and the arctangent limiter are k-diffusion's.
    """

    size: float
    exponent: float
    accept_safety: float = 0.81
    epsilon: float = field(default=1e-8, repr=False)

    def accepts(self, error: float) -> bool:
        """Whether a step of this error stands; sets the size of the next."""
        factor = (1 / (error + self.epsilon)) ** self.exponent
        factor = 1 + math.atan(factor - 1)
        self.size *= factor
        return factor >= self.accept_safety
