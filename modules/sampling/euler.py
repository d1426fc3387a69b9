"""First-order samplers, their Heun correction, and the linear multistep sampler.

Same signature throughout (`walk.Sampler`); numbers equal k-diffusion's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from numpy.polynomial import Polynomial
from torch import Tensor

from modules.sampling.walk import Model, Walk, ancestral_step, churn, slope

LMS_ORDER = 4


def euler(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """Karras et al. 2022, algorithm 2, without the second-order correction."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x, sigma_hat = churn(x, sigma, len(sigmas) - 1, walk)
        denoised = model(x, sigma_hat)
        walk.report(step, sigma, denoised)
        x = x + slope(x, sigma_hat, denoised) * (sigma_next - sigma_hat)
    return x


def euler_ancestral(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """Euler steps down to a lower sigma and back up with fresh noise (k-diffusion)."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        walk.report(step, sigma, denoised)
        down, up = ancestral_step(sigma, sigma_next, walk.eta)
        x = x + slope(x, sigma, denoised) * (down - sigma)
        if sigma_next > 0:
            x = x + walk.noise(sigma, sigma_next) * walk.s_noise * up
    return x


def heun(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """Karras et al. 2022, algorithm 2."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x, sigma_hat = churn(x, sigma, len(sigmas) - 1, walk)
        denoised = model(x, sigma_hat)
        walk.report(step, sigma, denoised)
        x = heun_step(model, x, denoised, sigma_hat, sigma_next)
    return x


def heun_step(
    model: Model, x: Tensor, denoised: Tensor, sigma: Tensor, sigma_next: Tensor
) -> Tensor:
    """One step of Heun's method; plain Euler down to 0. `denoised` is the model's x0 at x."""
    here = slope(x, sigma, denoised)
    ahead = x + here * (sigma_next - sigma)
    if sigma_next == 0:
        return ahead
    there = slope(ahead, sigma_next, model(ahead, sigma_next))
    return x + (here + there) / 2 * (sigma_next - sigma)


def lms(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """Linear multistep (Adams-Bashforth) of order 4 on the given sigmas (k-diffusion)."""
    times = [float(sigma) for sigma in sigmas]
    slopes: list[Tensor] = []
    for step, sigma in enumerate(sigmas[:-1]):
        denoised = model(x, sigma)
        walk.report(step, sigma, denoised)
        slopes = [slope(x, sigma, denoised), *slopes][:LMS_ORDER]
        weights = _adams_weights(times[: step + 1], times[step + 1], len(slopes))
        x = x + sum(weight * past for weight, past in zip(weights, slopes))
    return x


def lcm(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """Multistep consistency sampling (Luo et al. 2023, algorithm 3); noise between the steps."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x = model(x, sigma)
        walk.report(step, sigma, x)
        if sigma_next > 0:
            x = x + sigma_next * walk.noise(sigma, sigma_next)
    return x


def _adams_weights(past: Sequence[float], target: float, order: int) -> list[float]:
    """Weights of the last `order` slopes, newest first, for a step to `target`.

    Each is the integral of a Lagrange basis polynomial from past[-1] to `target`.
    """
    origin = past[-1]
    nodes = [time - origin for time in reversed(past[-order:])]
    weights = []
    for node in nodes:
        others = [other for other in nodes if other != node]
        basis = Polynomial.fromroots(others) if others else Polynomial([1.0])
        weights.append(float(basis.integ()(target - origin) / basis(node)))
    return weights
