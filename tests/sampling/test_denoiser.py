"""Noise tables and the way from raw network output to x0 or epsilon."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from modules.sampling.denoiser import (
    ConsistencySchedule,
    EpsilonDenoiser,
    NoiseSchedule,
    TimestepEpsilon,
    TimestepVelocity,
    VelocityDenoiser,
    effective_alphas,
)


def test_sigma_and_timestep_are_inverse_at_and_between_rows(toys: Any) -> None:
    t = torch.tensor([0.0, 0.25, 1.0, 499.5, 998.75, 999.0])
    back = toys.schedule.sigma_to_t(toys.schedule.t_to_sigma(t))
    assert torch.allclose(back, t, atol=2e-3)


def test_log_sigma_is_linear_between_rows(toys: Any) -> None:
    low, middle, high = toys.schedule.t_to_sigma(torch.tensor([10.0, 10.5, 11.0]))
    assert middle.log() == pytest.approx((low.log() + high.log()).item() / 2, rel=1e-6)


def test_sigmas_outside_the_table_get_its_ends(toys: Any) -> None:
    t = toys.schedule.sigma_to_t(torch.tensor([1e-4, 1e4]))
    assert t.tolist() == [0.0, 999.0]


def test_quantizing_gives_whole_timesteps(toys: Any) -> None:
    schedule = NoiseSchedule(toys.schedule.alphas_cumprod, quantize=True)
    sigma = schedule.t_to_sigma(torch.tensor([10.3, 10.7]))
    assert schedule.sigma_to_t(sigma).tolist() == [10, 11]


def test_scalar_sigma_gives_scalar_timestep(toys: Any) -> None:
    assert toys.schedule.sigma_to_t(torch.tensor(1.0)).shape == ()


def test_consistency_schedule_keeps_every_twentieth_row(toys: Any) -> None:
    schedule = ConsistencySchedule(toys.schedule)
    assert len(schedule) == 50
    assert torch.equal(schedule.sigmas, toys.schedule.sigmas[19::20])
    assert schedule.sigma_to_t(schedule.sigmas).tolist() == list(range(19, 1000, 20))
    sigmas = schedule.uniform_sigmas(50)
    assert torch.allclose(sigmas[:-1], schedule.sigmas.flip(0))


@pytest.mark.parametrize("sigma", [0.05, 1.0, 12.0])
def test_velocity_and_epsilon_networks_agree_on_x0(sigma: float, toys: Any) -> None:
    x = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(1)) * sigma
    level, cond = torch.full((2,), sigma), toys.text(0.5)
    by_epsilon = EpsilonDenoiser(toys.network(), toys.schedule)(x, level, cond)
    by_velocity = VelocityDenoiser(toys.network("v"), toys.schedule)(x, level, cond)
    exact = (x * toys.spread**2 + 0.5 * sigma**2) / (toys.spread**2 + sigma**2)
    assert torch.allclose(by_epsilon, by_velocity, atol=1e-4)
    assert torch.allclose(by_epsilon, exact, atol=1e-3)


def test_velocity_and_epsilon_networks_agree_at_timesteps(toys: Any) -> None:
    x = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    t, cond = torch.full((2,), 400.0), toys.text(0.5)
    by_epsilon = TimestepEpsilon(toys.network())(x, t, cond)
    by_velocity = TimestepVelocity(toys.network("v"), toys.schedule)(x, t, cond)
    assert torch.allclose(by_epsilon, by_velocity, atol=1e-4)


def test_zero_terminal_snr_ends_in_noise_and_starts_as_before(toys: Any) -> None:
    before = toys.schedule.alphas_cumprod
    after = effective_alphas(before, zero_terminal_snr=True)
    assert after[0] == pytest.approx(before[0].item())
    assert after[-1] < 1e-7
    assert (after.diff() < 0).all()
    assert NoiseSchedule(after).sigma_max == pytest.approx(4518.76, rel=1e-3)


def test_downcasting_computes_in_half_precision(toys: Any) -> None:
    schedule = NoiseSchedule(effective_alphas(toys.schedule.alphas_cumprod, downcast=True))
    assert schedule.sigma_max != toys.schedule.sigma_max
    assert schedule.sigma_max == pytest.approx(toys.schedule.sigma_max, rel=1e-2)
    assert schedule.uniform_sigmas(5).dtype == torch.float32
    assert effective_alphas(toys.schedule.alphas_cumprod).dtype == torch.float32
