"""The noise process of SD 1: schedule, loss weight, timestep draws, and a sampler for grids."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

TRAIN_STEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012
MIN_SNR = 5.0
LOW_SNR_BOOST = 100.0
# Share of the extra draws that fall into the noisy half, where text decides what appears.
NOISY_SHARE = 0.6
NOISY_FROM = 450
RHO = 7

SCHEDULE = {
    "beta_start": BETA_START,
    "beta_end": BETA_END,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": TRAIN_STEPS,
}


def alphas_cumprod() -> Tensor:
    """Cumulative signal power (1000,) float32 of the scaled-linear schedule."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TRAIN_STEPS, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).float()


def loss_weight(alphas: Tensor) -> Tensor:
    """Weight of the epsilon error at signal power `alphas`.

    Min-SNR-5 (Hang et al. 2023, eq. 8), times a boost of the noisy end where the error in x0
    is large and decides which object appears.
    """
    snr = alphas / (1 - alphas)
    return snr.clamp(max=MIN_SNR) / snr * (1 + 1 / snr).clamp(max=LOW_SNR_BOOST)


def draw_timesteps(count: int, generator: torch.Generator) -> Tensor:
    """(2 · count,) int64: first half uniform, second half drawn to the noisy end."""
    uniform = torch.randint(0, TRAIN_STEPS, (2 * count,), generator=generator)
    noisy = torch.randint(NOISY_FROM, TRAIN_STEPS, (2 * count,), generator=generator)
    is_noisy = torch.rand(2 * count, generator=generator) < NOISY_SHARE
    is_noisy[:count] = False
    return torch.where(is_noisy, noisy, uniform)


@torch.inference_mode()
def sample(
    predict: Callable[[Tensor, Tensor, Tensor], Tensor],
    cond: Tensor,
    uncond: Tensor,
    *,
    noise: Tensor,
    steps: int = 20,
    cfg_scale: float = 5.0,
) -> Tensor:
    """DPM++ 2M (Lu et al. 2022, alg. 2) from `noise` (B, 4, h, w) to latents of the same shape.

    `predict(x, t, context)` gives epsilon; cond (B, 77, D), uncond (1, 77, D).
    """
    sigmas, times = karras_steps(steps)
    context = torch.cat([cond, uncond.expand_as(cond)])
    x, before = noise * sigmas[0], None
    for index, t in enumerate(times):
        sigma, target = sigmas[index], sigmas[index + 1]
        scaled = (x / (sigma**2 + 1).sqrt()).repeat(2, 1, 1, 1)
        both = predict(scaled, t.expand(len(scaled)), context).float()
        with_text, without = both.chunk(2)
        x0 = x - sigma * (without + cfg_scale * (with_text - without))
        direction = x0
        if before is not None and target > 0:
            ratio = (sigmas[index - 1] / sigma).log() / (sigma / target).log()
            direction = x0 + (x0 - before) / (2 * ratio)
        x = target / sigma * x + (1 - target / sigma) * direction
        before = x0
    return x


def karras_steps(steps: int) -> tuple[Tensor, Tensor]:
    """Sigmas (steps + 1,) ending in 0 (Karras et al. 2022, eq. 5, rho 7), and their timesteps."""
    alphas = alphas_cumprod()
    known = ((1 - alphas) / alphas).sqrt()
    ramp = torch.linspace(0, 1, steps)
    low, high = known[0] ** (1 / RHO), known[-1] ** (1 / RHO)
    sigmas = (high + ramp * (low - high)) ** RHO
    # Between the trained steps, log sigma is taken as linear in t.
    places = np.interp(sigmas.log().numpy(), known.log().numpy(), np.arange(TRAIN_STEPS))
    return torch.cat([sigmas, torch.zeros(1)]), torch.from_numpy(places).float()
