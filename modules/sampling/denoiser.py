"""From a network's raw output to what the samplers want: x0 at a sigma, or epsilon at a timestep.

A discrete-time model knows a table of 1000 noise levels; between two of them log sigma is
interpolated (k-diffusion `external.py`, MIT). Knows no prompts and no guidance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from modules.sampling.conditioning import Conditioning

Network = Callable[[Tensor, Tensor, Conditioning], Tensor]
"""(x (B, C, h, w), t (B,) float32, conditioning of B rows) -> raw output (B, C, h, w)."""

ZERO_SNR_LAST_ALPHA = 4.8973451890853435e-08
"""alphas_cumprod of the last step after rescaling; not 0, so that its sigma stays finite."""


class Denoiser(Protocol):
    """(x (B, C, h, w) float32, level (B,), conditioning of B rows) -> prediction (B, C, h, w).

    The level is a sigma and the prediction x0 for sigma samplers; a timestep and epsilon for
    timestep samplers.
    """

    def __call__(self, x: Tensor, level: Tensor, cond: Conditioning, /) -> Tensor: ...


class NoiseSchedule:
    """The table of noise levels of a discrete-time model, ascending in sigma."""

    def __init__(self, alphas_cumprod: Tensor, quantize: bool = False) -> None:
        """alphas_cumprod: (T,), descending; `quantize` rounds to table rows."""
        self.alphas_cumprod = alphas_cumprod
        self.sigmas = ((1 - self.alphas_cumprod) / self.alphas_cumprod) ** 0.5
        self.log_sigmas = self.sigmas.log()
        self.quantize = quantize

    def __len__(self) -> int:
        return len(self.sigmas)

    @property
    def sigma_min(self) -> float:
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        return float(self.sigmas[-1])

    def sigma_to_t(self, sigma: Tensor) -> Tensor:
        """Timesteps (float32, or int64 when quantized) of sigmas of any shape."""
        log_sigmas = self.log_sigmas.to(sigma.device)
        log_sigma = sigma.log()
        distances = log_sigma - log_sigmas.view(-1, *[1] * sigma.ndim)
        if self.quantize:
            return distances.abs().argmin(dim=0).view(sigma.shape)
        low = distances.ge(0).cumsum(dim=0).argmax(dim=0).clamp(max=len(log_sigmas) - 2)
        high = low + 1
        low_log, high_log = log_sigmas[low], log_sigmas[high]
        weight = ((low_log - log_sigma) / (low_log - high_log)).clamp(0, 1)
        return ((1 - weight) * low + weight * high).view(sigma.shape)

    def t_to_sigma(self, t: Tensor) -> Tensor:
        """Sigmas of (fractional) timesteps of any shape, float32."""
        log_sigmas = self.log_sigmas.to(t.device)
        t = t.float()
        low, high, weight = t.floor().long(), t.ceil().long(), t.frac()
        return ((1 - weight) * log_sigmas[low] + weight * log_sigmas[high]).exp()

    def uniform_sigmas(self, steps: int) -> Tensor:
        """(steps + 1,) sigmas of timesteps equally spaced from last to first, then 0."""
        t = torch.linspace(len(self) - 1, 0, steps)
        return torch.cat([self.t_to_sigma(t), torch.zeros(1)])


class ConsistencySchedule(NoiseSchedule):
    """The 50 noise levels that latent consistency models are distilled on (Luo et al. 2023)."""

    ORIGINAL_STEPS = 50

    def __init__(self, schedule: NoiseSchedule) -> None:
        self.stride = len(schedule) // self.ORIGINAL_STEPS
        kept = torch.arange(1, self.ORIGINAL_STEPS + 1) * self.stride - 1
        super().__init__(schedule.alphas_cumprod[kept.to(schedule.alphas_cumprod.device)])

    def sigma_to_t(self, sigma: Tensor) -> Tensor:
        """The nearest of the 50 levels, as a timestep of the whole table."""
        log_sigmas = self.log_sigmas.to(sigma.device)
        distances = sigma.log() - log_sigmas.view(-1, *[1] * sigma.ndim)
        row = distances.abs().argmin(dim=0).view(sigma.shape)
        return row * self.stride + (self.stride - 1)

    def t_to_sigma(self, t: Tensor) -> Tensor:
        """The sigma of a timestep of the whole table, clamped to the 50 levels."""
        row = ((t.float() - (self.stride - 1)) / self.stride).clamp(0, len(self) - 1)
        return super().t_to_sigma(row)

    def uniform_sigmas(self, steps: int) -> Tensor:
        """(steps + 1,) sigmas of timesteps equally spaced over the 50 levels, then 0."""
        first = int(self.sigma_to_t(self.sigmas[-1]))
        last = int(self.sigma_to_t(self.sigmas[0]))
        t = torch.linspace(first, last, steps)
        return torch.cat([self.t_to_sigma(t), torch.zeros(1)])


@dataclass(frozen=True, slots=True)
class EpsilonDenoiser:
    """x0 from a network that predicts the noise (Karras et al. 2022, table 1, VP)."""

    network: Network
    schedule: NoiseSchedule

    def __call__(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        spread = _like_image(sigma, x)
        t = self.schedule.sigma_to_t(sigma).float()
        eps = self.network(x * (1 / (spread**2 + 1) ** 0.5), t, cond)
        return x + eps * -spread


@dataclass(frozen=True, slots=True)
class VelocityDenoiser:
    """x0 from a network that predicts v (Salimans & Ho 2022, appendix D)."""

    network: Network
    schedule: NoiseSchedule

    def __call__(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        spread = _like_image(sigma, x)
        t = self.schedule.sigma_to_t(sigma).float()
        v = self.network(x * (1 / (spread**2 + 1) ** 0.5), t, cond)
        return v * (-spread / (spread**2 + 1) ** 0.5) + x * (1 / (spread**2 + 1))


@dataclass(frozen=True, slots=True)
class ConsistencyDenoiser:
    """x0 by the boundary conditions of latent consistency models (Luo et al. 2023, eq. 9).

    `inner` gives x0 at the levels of a ConsistencySchedule.
    """

    inner: Denoiser
    schedule: NoiseSchedule
    sigma_data: float = 0.5
    timestep_scaling: float = 10.0

    def __call__(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        denoised = self.inner(x, sigma, cond)
        scaled_t = _like_image(self.schedule.sigma_to_t(sigma), x) * self.timestep_scaling
        variance = self.sigma_data**2
        skip = variance / (scaled_t**2 + variance)
        out = scaled_t / (scaled_t**2 + variance) ** 0.5
        in_model_scale = x / (_like_image(sigma, x) ** 2 + 1) ** 0.5
        return out * denoised + skip * in_model_scale


@dataclass(frozen=True, slots=True)
class TimestepEpsilon:
    """Epsilon at a timestep from a network that predicts it; x is in the model's own scale."""

    network: Network

    def __call__(self, x: Tensor, t: Tensor, cond: Conditioning) -> Tensor:
        return self.network(x, t.float(), cond)


@dataclass(frozen=True, slots=True)
class TimestepVelocity:
    """Epsilon at a timestep from a network that predicts v; x is in the model's own scale."""

    network: Network
    schedule: NoiseSchedule

    def __call__(self, x: Tensor, t: Tensor, cond: Conditioning) -> Tensor:
        v = self.network(x, t.float(), cond)
        alpha = self.schedule.alphas_cumprod.to(x.device)[t.long()].float()
        return _like_image(alpha.sqrt(), x) * v + _like_image((1 - alpha).sqrt(), x) * x


def effective_alphas(
    alphas_cumprod: Tensor, *, downcast: bool = False, zero_terminal_snr: bool = False
) -> Tensor:
    """The noise table (T,) that the settings ask for; float32, or float16 with `downcast`.

    `downcast` computes with float16 sigmas as A1111 before 1.7 did; `zero_terminal_snr` shifts and
    scales sqrt(alphas) so that the last step is pure noise (Lin et al. 2023, algorithm 1).
    """
    alphas = alphas_cumprod.half() if downcast else alphas_cumprod.float()
    if not zero_terminal_snr:
        return alphas
    roots = alphas.sqrt()
    first, last = roots[0].clone(), roots[-1].clone()
    rescaled = ((roots - last) * (first / (first - last))) ** 2
    rescaled[-1] = ZERO_SNR_LAST_ALPHA
    return rescaled


def _like_image(values: Tensor, image: Tensor) -> Tensor:
    """(B,) to (B, 1, 1, ...) with the dimensions of `image`."""
    return values.view(-1, *[1] * (image.ndim - 1))
