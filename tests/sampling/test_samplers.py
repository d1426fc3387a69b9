"""Every sampler: k-diffusion's numbers where it has the sampler, and the right end of the walk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.core.errors import BadInput
from modules.sampling.brownian import BrownianNoise
from modules.sampling.options import SamplerOptions
from modules.sampling.plan import SamplePlan
from modules.sampling.restart import restart_plan
from modules.sampling.run import sample
from modules.sampling.table import SAMPLERS, SamplerRow, find_sampler
from modules.sampling.timestep_samplers import make_timesteps
from modules.sampling.walk import Walk

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/samplers.json").read_text())
GOLDEN_TOLERANCE = 1e-5
"""Rounding of exp and log in other versions of torch, over a dozen steps."""

DATA_SPREAD_TOLERANCE = {"Euler a": 0.25}
"""Relative error of the data's deviation after 30 noisy steps; 0.12 where not named."""

STOCHASTIC = [
    row.name
    for row in SAMPLERS
    if row.uses_brownian_noise
    or row.name == "Restart"
    or (row.uses_eta and row.levels != "timesteps")
]


def toy_model(x: Tensor, sigma: Tensor) -> Tensor:
    """The model of tools/oracle/compare_k_diffusion.py."""
    variance = (sigma**2 + 0.3**2).expand(len(x)).reshape(-1, *[1] * (x.ndim - 1))
    first = torch.log(torch.tensor(0.3)) - (x - 1.0) ** 2 / (2 * variance)
    second = torch.log(torch.tensor(0.7)) - (x + 0.5) ** 2 / (2 * variance)
    share = torch.sigmoid(first - second)
    keep = 0.3**2 / variance
    return share * (1.0 + keep * (x - 1.0)) + (1 - share) * (-0.5 + keep * (x + 0.5))


def _walk(toys: Any, noise: Callable[[Tensor, Tensor], Tensor], steps: int, **options: Any) -> Walk:
    return Walk(
        noise=noise,
        report=lambda step, level, denoised: None,
        steps=steps,
        schedule=toys.schedule,
        last_uncond=lambda: torch.zeros(1),
        options=SamplerOptions(),
        **options,
    )


@pytest.mark.parametrize(
    "case",
    GOLDEN["cases"],
    ids=lambda case: f"{case['sampler']}-{len(case['sigmas'])}-{case['options']}",
)
def test_numbers_are_k_diffusions(case: dict, toys: Any) -> None:
    row, shape = find_sampler(case["sampler"]), tuple(GOLDEN["shape"])
    sigmas = torch.tensor(case["sigmas"])
    x = torch.tensor(case["x"]).view(shape)
    stream = torch.Generator().manual_seed(5)
    torch.randn(0, generator=stream)

    def drawn(here: Tensor, there: Tensor) -> Tensor:
        return torch.randn(shape, generator=stream)

    brownian = BrownianNoise(x, sigmas, GOLDEN["seeds"], "CPU")
    noise = brownian if row.uses_brownian_noise else drawn
    walk = _walk(toys, noise, len(sigmas) - 1, **case["options"])
    got = row.sampler()(toy_model, x, sigmas, walk)
    wanted = torch.tensor(case["wanted"]).view(shape)
    assert float((got - wanted).abs().max()) <= GOLDEN_TOLERANCE * float(wanted.abs().max())


def test_the_golden_file_covers_every_sampler_of_k_diffusion() -> None:
    without = {"Restart", "DDIM", "DDIM CFG++", "PLMS", "UniPC", "LCM"}
    assert {case["sampler"] for case in GOLDEN["cases"]} == {r.name for r in SAMPLERS} - without


def _ode_error(toys: Any, row: SamplerRow, steps: int, **options: Any) -> float:
    """Largest distance from the exact solution of the probability flow ODE."""
    plan = SamplePlan(
        row.name, steps, 1.0 / row.cfg_multiplier, options=SamplerOptions(eta=0.0, **options)
    )
    noise = toys.noise(1).next()
    result = sample(plan, toys.model(), toys.prompts(1), toys.noise(1), first_noise=noise)
    start, end, x = toys.schedule.sigma_max, 0.0, noise * toys.schedule.sigma_max
    if row.levels == "timesteps":
        first = 999 if row.name == "UniPC" else int(make_timesteps(steps, 1000)[-1])
        start = float(toys.schedule.sigmas[first])
        end = float(toys.schedule.sigmas[0 if row.name == "UniPC" else 1])
        x = noise * (1 + start**2) ** 0.5
    variance = toys.spread**2
    exact = 1.0 + (x - 1.0) * ((variance + end**2) / (variance + start**2)) ** 0.5
    return float((result - exact / (1 + end**2) ** 0.5).abs().max())


@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.name)
def test_without_noise_the_walk_nears_the_odes_solution(row: SamplerRow, toys: Any) -> None:
    if row.is_consistency or row.name == "Restart":
        pytest.skip("follows no ODE")
    coarse, fine = (_ode_error(toys, row, steps) for steps in (20, 80))
    assert coarse < 0.3
    assert fine < (0.05 if row.name == "DPM adaptive" else max(0.35 * coarse, 0.006))


def test_restart_of_few_steps_solves_the_ode(toys: Any) -> None:
    assert _ode_error(toys, find_sampler("Restart"), 19) < 0.03


@pytest.mark.parametrize("name", STOCHASTIC)
def test_with_noise_the_walk_ends_in_the_data(name: str, toys: Any) -> None:
    result = sample(
        SamplePlan(name, 30, 1.0), toys.model(), toys.prompts(2), toys.noise(2, size=32)
    )
    assert float(result.mean()) == pytest.approx(1.0, abs=0.03)
    assert float(result.std()) == pytest.approx(
        toys.spread, rel=DATA_SPREAD_TOLERANCE.get(name, 0.12)
    )


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.name)
def test_few_steps_give_finite_latents(row: SamplerRow, steps: int, toys: Any) -> None:
    plan = SamplePlan(row.name, steps, 7.0)
    result = sample(plan, toys.model(), toys.prompts(1), toys.noise(1, size=4))
    assert torch.isfinite(result).all()


def test_eta_changes_exactly_the_samplers_that_use_it(toys: Any) -> None:
    for row in SAMPLERS:
        results = [
            sample(
                SamplePlan(row.name, 6, 1.0, options=SamplerOptions(eta=eta)),
                toys.model(),
                toys.prompts(1),
                toys.noise(1, size=4),
            )
            for eta in (0.0, 0.8)
        ]
        assert torch.equal(*results) != row.uses_eta, row.name


def test_churn_and_s_noise_change_exactly_the_samplers_that_use_them(toys: Any) -> None:
    def run(row: SamplerRow, **options: float) -> Tensor:
        plan = SamplePlan(row.name, 6, 1.0, options=SamplerOptions(**options))
        return sample(plan, toys.model(), toys.prompts(1), toys.noise(1, size=4))

    for row in SAMPLERS:
        plain = run(row)
        assert torch.equal(plain, run(row, s_churn=3.0)) != row.uses_churn, row.name
        by_s_noise = run(row, s_noise=0.9, s_churn=3.0 if row.uses_churn else 0.0)
        before = run(row, s_churn=3.0) if row.uses_churn else plain
        assert torch.equal(before, by_s_noise) != row.uses_s_noise, row.name


def test_ddim_timesteps_are_every_so_manyth() -> None:
    assert make_timesteps(8, 1000).tolist() == list(range(1, 1000, 125))
    assert len(make_timesteps(30, 1000)) == 31
    assert make_timesteps(1, 1000).tolist() == [1]
    assert make_timesteps(1500, 1000)[-1] == 999


@pytest.mark.parametrize("variant", ["bh1", "bh2", "vary_coeff"])
@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("skip", ["time_uniform", "time_quadratic", "logSNR"])
def test_unipc_nears_the_odes_solution_in_every_variant(
    variant: str, order: int, skip: str, toys: Any
) -> None:
    row = find_sampler("UniPC")
    names = ("uni_pc_variant", "uni_pc_order", "uni_pc_skip_type")
    options = dict(zip(names, (variant, order, skip)))
    coarse, fine = (_ode_error(toys, row, steps, **options) for steps in (20, 80))
    assert coarse < 0.2
    assert fine < max(0.5 * coarse, 0.001)


def test_lcm_noises_between_steps_and_ends_without(toys: Any) -> None:
    network = toys.network()
    sample(SamplePlan("LCM", 4, 1.0), toys.model(network), toys.prompts(1), toys.noise(1))
    assert network.times == pytest.approx([999, 679, 339, 19], abs=20)
    assert all(time % 20 == 19 for time in network.times)


@pytest.mark.parametrize("steps", [6, 20, 35, 36, 50])
def test_restart_uses_its_budget_of_network_calls(steps: int, toys: Any) -> None:
    network = toys.network()
    sample(SamplePlan("Restart", steps, 1.0), toys.model(network), toys.prompts(1), toys.noise(1))
    plan = restart_plan(steps)
    assert len(network.times) == 2 * steps - 1
    climbs = sum(later > earlier for earlier, later in zip(network.times, network.times[1:]))
    assert climbs == plan.times


def test_dpm_fast_makes_exactly_its_number_of_network_calls(toys: Any) -> None:
    for steps in range(1, 14):
        network = toys.network()
        plan = SamplePlan("DPM fast", steps, 1.0)
        sample(plan, toys.model(network), toys.prompts(1), toys.noise(1, size=4))
        assert len(network.times) == steps


def test_dpm_adaptive_refuses_a_model_that_gives_nan(toys: Any) -> None:
    sigmas = torch.tensor([14.6, 0.03, 0.0])
    walk = _walk(toys, lambda here, there: torch.zeros(1, 1, 2, 2), 2)
    with pytest.raises(BadInput, match="DPM adaptive"):
        find_sampler("DPM adaptive").sampler()(
            lambda x, sigma: x * torch.nan, torch.ones(1, 1, 2, 2), sigmas, walk
        )
