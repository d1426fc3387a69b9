"""Stochastic DPM-Solver++ samplers, driven by Brownian noise (k-diffusion; Lu et al. 2022b).

`walk.noise` must give increments of one Brownian path per image, scaled to unit variance.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor

from modules.sampling.walk import Model, Walk, ancestral_step, slope


def dpmpp_sde(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """DPM-Solver++ (stochastic), two network calls a step."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        walk.report(step, sigma, denoised)
        if sigma_next == 0:
            x = x + slope(x, sigma, denoised) * (sigma_next - sigma)
            continue
        t, t_next = -sigma.log(), -sigma_next.log()
        middle = t + (t_next - t) / 2
        halfway = _noisy_step(x, denoised, t, middle, walk)
        x = _noisy_step(x, model(halfway, middle.neg().exp()), t, t_next, walk)
    return x


def dpmpp_2m_sde(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """DPM-Solver++(2M) SDE with the midpoint correction."""
    return _two_step_sde(model, x, sigmas, walk, correction="midpoint")


def dpmpp_2m_sde_heun(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """DPM-Solver++(2M) SDE with Heun's correction."""
    return _two_step_sde(model, x, sigmas, walk, correction="heun")


def dpmpp_3m_sde(model: Model, x: Tensor, sigmas: Tensor, walk: Walk) -> Tensor:
    """DPM-Solver++(3M) SDE: third order from the two previous steps' x0."""
    denoised_1 = denoised_2 = h_1 = h_2 = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        walk.report(step, sigma, denoised)
        if sigma_next == 0:
            return denoised
        h = -sigma_next.log() + sigma.log()
        h_eta = h * (walk.eta + 1)
        x = (-h_eta).exp() * x + (-h_eta).expm1().neg() * denoised
        if h_1 is not None and denoised_1 is not None:
            phi_2 = h_eta.neg().expm1() / h_eta + 1
            first = (denoised - denoised_1) / (h_1 / h)
            if h_2 is not None and denoised_2 is not None:
                second = (denoised_1 - denoised_2) / (h_2 / h)
                total = h_1 / h + h_2 / h
                change = first + (first - second) * (h_1 / h) / total
                phi_3 = phi_2 / h_eta - 0.5
                x = x + phi_2 * change - phi_3 * ((first - second) / total)
            else:
                x = x + phi_2 * first
        x = x + _path_noise(sigma, sigma_next, h * walk.eta, walk)
        denoised_1, denoised_2 = denoised, denoised_1
        h_1, h_2 = h, h_1
    return x


def _two_step_sde(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    walk: Walk,
    *,
    correction: Literal["midpoint", "heun"],
) -> Tensor:
    previous = h_last = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = model(x, sigma)
        walk.report(step, sigma, denoised)
        if sigma_next == 0:
            return denoised
        h = -sigma_next.log() + sigma.log()
        eta_h = walk.eta * h
        gain = (-h - eta_h).expm1().neg()
        x = sigma_next / sigma * (-eta_h).exp() * x + gain * denoised
        if previous is not None and h_last is not None:
            weight = 0.5 * gain if correction == "midpoint" else gain / (-h - eta_h) + 1
            x = x + weight * (1 / (h_last / h)) * (denoised - previous)
        x = x + _path_noise(sigma, sigma_next, eta_h, walk)
        previous, h_last = denoised, h
    return x


def _noisy_step(x: Tensor, denoised: Tensor, t: Tensor, t_next: Tensor, walk: Walk) -> Tensor:
    """An ancestral step from t to t_next (t = -log sigma) towards `denoised`."""
    sigma, sigma_next = t.neg().exp(), t_next.neg().exp()
    down, up = ancestral_step(sigma, sigma_next, walk.eta)
    t_down = -down.log()
    x = t_down.neg().exp() / sigma * x - (t - t_down).expm1() * denoised
    return x + walk.noise(sigma, sigma_next) * walk.s_noise * up


def _path_noise(sigma: Tensor, sigma_next: Tensor, eta_h: Tensor, walk: Walk) -> Tensor | float:
    """The noise that a step of length eta_h in log sigma adds; 0 without eta."""
    if not walk.eta:
        return 0.0
    scale = (-2 * eta_h).expm1().neg().sqrt()
    return walk.noise(sigma, sigma_next) * sigma_next * scale * walk.s_noise
