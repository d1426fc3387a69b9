"""Schedules equal A1111's golden sigmas, and keep their promises at any step count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.sampling.options import SamplerOptions
from modules.sampling.sigmas import make_sigmas
from modules.sampling.table import SCHEDULERS, find_scheduler

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/sigmas.json").read_text())
RELATIVE_TOLERANCE = 5e-7
"""Last-bit differences of log and exp between versions of torch."""

NAMES = [row.name for row in SCHEDULERS]


def test_the_models_ends_are_a1111s(toys: Any) -> None:
    assert toys.schedule.sigma_min == pytest.approx(GOLDEN["sigma_min"], rel=RELATIVE_TOLERANCE)
    assert toys.schedule.sigma_max == pytest.approx(GOLDEN["sigma_max"], rel=RELATIVE_TOLERANCE)


@pytest.mark.parametrize(
    "case", GOLDEN["cases"], ids=lambda case: f"{case['scheduler']}-{case['n']}-{case['sdxl']}"
)
def test_sigmas_are_a1111s(case: dict, toys: Any) -> None:
    scheduler = find_scheduler(case["scheduler"])
    got = make_sigmas(scheduler, case["n"], toys.schedule, SamplerOptions(), is_sdxl=case["sdxl"])
    assert got.tolist() == pytest.approx(case["sigmas"], rel=RELATIVE_TOLERANCE)


@pytest.mark.parametrize("steps", [1, 2, 3, 11, 20, 150])
@pytest.mark.parametrize("name", NAMES)
def test_sigmas_descend_to_their_end(name: str, steps: int, toys: Any) -> None:
    sigmas = make_sigmas(find_scheduler(name), steps, toys.schedule, SamplerOptions())
    assert sigmas.dtype == torch.float32
    assert torch.isfinite(sigmas).all()
    assert (sigmas.diff() < 0).all() or name == "beta"  # beta repeats its densest values
    assert (sigmas.diff() <= 0).all()
    end = toys.schedule.sigma_min if name == "kl_optimal" else 0.0
    assert float(sigmas[-1]) == pytest.approx(end)
    if name != "ddim":  # DDIM's rows need not divide evenly
        assert len(sigmas) == steps + 1


@pytest.mark.parametrize("name", ["karras", "exponential", "polyexponential", "kl_optimal"])
def test_sigma_settings_move_the_ends(name: str, toys: Any) -> None:
    options = SamplerOptions(sigma_min=0.1, sigma_max=9.0)
    sigmas = make_sigmas(find_scheduler(name), 8, toys.schedule, options)
    lowest = sigmas[-1] if name == "kl_optimal" else sigmas[-2]
    assert float(sigmas[0]) == pytest.approx(9.0)
    assert float(lowest) == pytest.approx(0.1)


def test_old_karras_range_is_used_when_asked_for(toys: Any) -> None:
    options = SamplerOptions(use_old_karras_scheduler_sigmas=True)
    sigmas = make_sigmas(find_scheduler("karras"), 8, toys.schedule, options)
    assert sigmas[0].item() == pytest.approx(10.0)
    assert sigmas[-2].item() == pytest.approx(0.1)


def test_rho_reaches_only_schedules_that_have_one(toys: Any) -> None:
    for row in SCHEDULERS:
        plain = make_sigmas(row, 8, toys.schedule, SamplerOptions())
        bent = make_sigmas(row, 8, toys.schedule, SamplerOptions(rho=3.0))
        assert torch.equal(plain, bent) == (row.default_rho == -1)


def test_beta_settings_change_beta(toys: Any) -> None:
    row = find_scheduler("beta")
    plain = make_sigmas(row, 8, toys.schedule, SamplerOptions())
    assert not torch.equal(
        plain, make_sigmas(row, 8, toys.schedule, SamplerOptions(beta_dist_alpha=0.9))
    )
    assert not torch.equal(
        plain, make_sigmas(row, 8, toys.schedule, SamplerOptions(beta_dist_beta=0.9))
    )
