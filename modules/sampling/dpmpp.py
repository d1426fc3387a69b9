"""DPM-Solver++ samplers without Brownian noise (Lu et al. 2022b, arXiv 2211.01095).

They step in t = -log(sigma), where the ODE's linear part is solved exactly.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from modules.sampling.walk import Model, Walk, ancestral_step, slope


def dpmpp_2m(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """DPM-Solver++(2M), algorithm 2: second order from the previous step's x0."""
    previous: Tensor | None = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        walk.report(step, sigma, denoised)
        h = -sigma_next.log() + sigma.log()
        target = denoised
        if previous is not None and sigma_next > 0:
            ratio = (-sigma.log() + sigmas[step - 1].log()) / h
            weight = 1 / (2 * ratio)
            target = (1 + weight) * denoised - weight * previous
        x = _at(sigma_next) / _at(sigma) * x - (-h).expm1() * target
        previous = denoised
    return x


def dpmpp_2s_ancestral(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """DPM-Solver++(2S), algorithm 1, to a lower sigma, and back up with fresh noise."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        walk.report(step, sigma, denoised)
        down, up = ancestral_step(sigma, sigma_next, walk.eta)
        if down == 0:
            x = x + slope(x, sigma, denoised) * (down - sigma)
        else:
            x = _two_stage_step(model, x, denoised, sigma, down)
        if sigma_next > 0:
            x = x + walk.noise(sigma, sigma_next) * walk.s_noise * up
    return x


def _two_stage_step(
    model: Model, x: Tensor, denoised: Tensor, sigma: Tensor, sigma_next: Tensor
) -> Tensor:
    """A step whose slope is taken at the middle of the interval in log sigma."""
    t, t_next = -sigma.log(), -sigma_next.log()
    h = t_next - t
    middle = (t + h / 2).neg().exp()
    halfway = middle / _at(sigma) * x - (-h / 2).expm1() * denoised
    return _at(sigma_next) / _at(sigma) * x - (-h).expm1() * model(halfway, middle)


def _at(sigma: Tensor) -> Tensor:
    """exp(log(sigma)): the rounding of a round trip through t, kept for equal numbers."""
    return sigma.log().exp()
