"""Whole runs: from noise, from a picture, stopped, refined, and image by image."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from modules.core.errors import Interrupted, NotFound
from modules.sampling.conditioning import constant
from modules.sampling.options import SamplerOptions
from modules.sampling.plan import (
    Listeners,
    Prompts,
    Refinement,
    SamplePlan,
    Start,
    StepReport,
)
from modules.sampling.run import (
    img2img_steps,
    prompt_steps,
    sample,
    sample_from,
    sampler_sigmas,
)
from modules.sampling.table import SAMPLERS, SamplerRow

BATCH_TOLERANCE = 1e-6
"""A batched network may round differently from a single one."""


@pytest.mark.parametrize("source", ["CPU", "NV"])
@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.name)
def test_an_image_is_the_same_alone_and_in_a_batch(row: SamplerRow, source: Any, toys: Any) -> None:
    if row.name == "DPM adaptive":
        pytest.skip("its step sizes follow the whole batch")
    plan = SamplePlan(row.name, 6, 4.0, options=SamplerOptions(randn_source=source))
    batch = sample(plan, toys.model(), toys.prompts(3, 1.0, 0.2), toys.noise(3, seed=5))
    alone = sample(plan, toys.model(), toys.prompts(1, 1.0, 0.2), toys.noise(1, seed=6))
    assert torch.allclose(batch[1:2], alone, atol=BATCH_TOLERANCE)


@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.name)
def test_v_prediction_gives_the_same_picture(row: SamplerRow, toys: Any) -> None:
    if row.is_consistency:
        pytest.skip("its timesteps are rounded, so that sigma and t do not belong together")
    plan = SamplePlan(row.name, 6, 3.0)
    by_epsilon = sample(plan, toys.model(), toys.prompts(1, 1.0, 0.2), toys.noise(1))
    network = toys.network("v")
    by_velocity = sample(
        plan, toys.model(network, prediction="v"), toys.prompts(1, 1.0, 0.2), toys.noise(1)
    )
    tolerance = 0.05 if row.name == "UniPC" else 2e-3  # UniPC asks between timesteps
    assert torch.allclose(by_epsilon, by_velocity, atol=tolerance)


@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.name)
def test_every_step_is_reported(row: SamplerRow, toys: Any) -> None:
    reports: list[StepReport] = []

    def on_step(report: StepReport) -> bool:
        reports.append(report)
        return False

    plan, listeners = SamplePlan(row.name, 8, 1.0), Listeners(on_step=on_step)
    sample(plan, toys.model(), toys.prompts(2), toys.noise(2), listeners)
    steps = [report.step for report in reports]
    assert steps == sorted(set(steps))
    assert steps[0] == 1
    assert all(report.denoised.shape == (2, 4, 16, 16) for report in reports)
    if row.name != "DPM adaptive":
        assert 8 - 1 <= steps[-1] <= reports[0].steps == 8


@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.name)
def test_a_callback_can_stop_the_run(row: SamplerRow, toys: Any) -> None:
    network, steps = toys.network(), []

    def on_step(report: StepReport) -> bool:
        steps.append(report.step)
        return report.step >= 2

    plan, listeners = SamplePlan(row.name, 12, 1.0), Listeners(on_step=on_step)
    with pytest.raises(Interrupted):
        sample(plan, toys.model(network), toys.prompts(1), toys.noise(1), listeners)
    assert len(steps) == 2
    assert len(network.rows) <= 8


@pytest.mark.parametrize(
    ("steps", "strength", "fixed", "expected"),
    [
        (20, 0.5, False, (20, 10)),
        (8, 0.6, False, (8, 4)),
        (8, 1.0, False, (8, 7)),
        (8, 0.1, False, (8, 0)),
        (8, 0.0, False, (8, 0)),
        (8, 0.6, True, (13, 7)),
        (8, 1.0, True, (8, 7)),
        (8, 0.0, True, (0, 7)),
    ],
)
def test_img2img_steps_are_a1111s(
    steps: int, strength: float, fixed: bool, expected: tuple[int, int]
) -> None:
    assert img2img_steps(steps, strength, fixed) == expected


@pytest.mark.parametrize("strength", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.name)
def test_a_picture_is_changed_by_its_strength(row: SamplerRow, strength: float, toys: Any) -> None:
    picture = torch.full((1, 4, 8, 8), 3.0)
    plan = SamplePlan(row.name, 8, 1.0)
    result = sample_from(
        plan,
        toys.model(),
        toys.prompts(1),
        toys.noise(1, size=8),
        start=Start(picture, strength),
    )
    assert torch.isfinite(result).all()
    moved = float((result - picture).abs().mean())
    assert moved < 0.7 if strength <= 0.05 else moved > 0.7


def test_fixed_steps_walk_exactly_the_steps_asked_for(toys: Any) -> None:
    network = toys.network()
    start = Start(torch.zeros(1, 4, 16, 16), 0.6, fix_steps=True)
    plan = SamplePlan("Euler", 8, 1.0)
    sample_from(plan, toys.model(network), toys.prompts(1), toys.noise(1), start=start)
    assert len(network.times) == 8


def test_fixed_steps_of_no_strength_give_the_picture_back(toys: Any) -> None:
    picture = torch.rand(1, 4, 16, 16)
    result = sample_from(
        SamplePlan("Euler", 8, 1.0),
        toys.model(),
        toys.prompts(1),
        toys.noise(1),
        start=Start(picture, 0.0, fix_steps=True),
    )
    assert torch.equal(result, picture)


def test_extra_noise_is_asked_of_its_hook(toys: Any) -> None:
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def on_extra_noise(noise: Tensor, latent: Tensor, x: Tensor) -> Tensor:
        seen.append((noise, latent, x))
        return torch.zeros_like(noise)

    picture = torch.rand(1, 4, 16, 16)
    results = [
        sample_from(
            SamplePlan("Euler", 8, 1.0),
            toys.model(),
            toys.prompts(1),
            toys.noise(1),
            start=Start(picture, 0.5, extra_noise=extra, on_extra_noise=hook),
        )
        for extra, hook in ((0.0, None), (0.3, on_extra_noise), (0.3, None))
    ]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert torch.equal(seen[0][1], picture)


def test_sgm_noise_multiplier_scales_the_first_noise(toys: Any) -> None:
    seen: list[Tensor] = []
    network = toys.network()

    def recorded(x: Tensor, t: Tensor, cond: Any) -> Tensor:
        seen.append(x)
        return network(x, t, cond)

    for multiplier in (False, True):
        plan = SamplePlan("Euler", 1, 1.0, options=SamplerOptions(sgm_noise_multiplier=multiplier))
        sample(plan, toys.model(recorded), toys.prompts(1), toys.noise(1))
    sigma = toys.schedule.sigma_max
    assert torch.allclose(seen[1] / seen[0], torch.tensor((1 + sigma**2) ** 0.5 / sigma))


def test_discarding_drops_the_next_to_last_sigma(toys: Any) -> None:
    options = SamplerOptions(always_discard_next_to_last_sigma=True)
    plan = SamplePlan("Euler", 8, 1.0, scheduler="Karras", options=options)
    longer = SamplePlan("Euler", 9, 1.0, scheduler="Karras")
    sigmas, full = sampler_sigmas(plan, toys.model()), sampler_sigmas(longer, toys.model())
    assert torch.equal(sigmas, torch.cat([full[:-2], full[-1:]]))
    assert torch.equal(sampler_sigmas(SamplePlan("DPM2", 8, 1.0), toys.model()), sigmas)


def test_second_order_samplers_double_the_prompts_steps(toys: Any) -> None:
    doubled = {row.name for row in SAMPLERS if prompt_steps(row.name, 10) == 20}
    assert doubled == {"DPM++ SDE", "DPM++ 2S a", "Heun", "DPM2", "DPM2 a", "Restart"}


def test_zero_terminal_snr_starts_from_a_higher_sigma(toys: Any) -> None:
    options = SamplerOptions(sd_noise_schedule="Zero Terminal SNR")
    sigmas = sampler_sigmas(SamplePlan("Euler", 8, 1.0, options=options), toys.model())
    assert sigmas[0] > 4000


def test_the_refiner_runs_the_last_part(toys: Any) -> None:
    first, second = toys.network(), toys.network()

    def load() -> tuple[Any, Prompts]:
        return toys.model(second), toys.prompts(1)

    listeners = Listeners(refinement=Refinement(0.6, load))
    plan = SamplePlan("Euler", 8, 1.0)
    sample(plan, toys.model(first), toys.prompts(1), toys.noise(1), listeners)
    assert (len(first.times), len(second.times)) == (5, 3)
    assert second.times[0] < 400


def test_and_and_schedules_come_through(toys: Any) -> None:
    schedule = ((2, toys.text(1.0)), (8, toys.text(2.0)))
    prompts = Prompts(
        [((1.0, schedule), (0.5, constant(toys.text(0.5))))], [constant(toys.text(0.0))]
    )
    network = toys.network()
    sample(SamplePlan("Euler", 8, 2.0), toys.model(network), prompts, toys.noise(1))
    assert network.rows == [2, 1] * 8  # two AND parts and a negative, two rows at a time


def test_unknown_names_are_refused(toys: Any) -> None:
    for plan in (SamplePlan("Nope", 8, 1.0), SamplePlan("Euler", 8, 1.0, scheduler="Nope")):
        with pytest.raises(NotFound):
            sample(plan, toys.model(), toys.prompts(1), toys.noise(1))
