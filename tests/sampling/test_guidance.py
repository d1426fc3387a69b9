"""Guidance: what is combined how, which calls skip the negative, and what hooks can change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.sampling.conditioning import constant
from modules.sampling.denoiser import EpsilonDenoiser
from modules.sampling.guidance import (
    AfterDenoise,
    BeforeDenoise,
    Guidance,
    GuidanceHooks,
    GuidanceSettings,
    GuidedModel,
    Refiner,
)

SIGMA = torch.tensor(2.0)


class Setup:
    """Guidance over the toy network with one negative (mean 0) per image."""

    def __init__(self, toys: Any, prompts: list[Any], **settings: Any) -> None:
        self.toys = toys
        self.network = toys.network()
        self.denoiser = EpsilonDenoiser(self.network, toys.schedule)
        self.model = GuidedModel(self.denoiser, prompts, [constant(toys.text(0.0))] * len(prompts))
        self.settings = GuidanceSettings(**{"cfg_scale": 7.0, "total_steps": 10} | settings)
        self.x = torch.full((len(prompts), 4, 4, 4), 0.5)

    def guidance(self, **extra: Any) -> Guidance:
        return Guidance(self.model, self.settings, **extra)

    def alone(self, mean: float, length: int = 77) -> Tensor:
        """x0 under one text, unguided."""
        level = SIGMA.expand(len(self.x))
        cond = self.toys.text(mean, length)
        return EpsilonDenoiser(self.toys.network(), self.toys.schedule)(self.x, level, cond)


@pytest.fixture
def one(toys: Any) -> Any:
    """Build a Setup of one image with text of mean 1."""
    prompt = ((1.0, constant(toys.text(1.0))),)
    return lambda **settings: Setup(toys, [prompt], **settings)


def test_cfg_moves_from_uncond_past_cond(one: Any) -> None:
    setup = one()
    cond, uncond = setup.alone(1.0), setup.alone(0.0)
    expected = uncond + 7.0 * (cond - uncond)
    assert torch.allclose(setup.guidance()(setup.x, SIGMA), expected, atol=1e-5)
    assert setup.network.rows == [2]


def test_and_parts_add_with_their_weights(toys: Any) -> None:
    parts = ((1.0, constant(toys.text(1.0))), (-0.4, constant(toys.text(2.0))))
    setup = Setup(toys, [parts], cfg_scale=3.0)
    uncond = setup.alone(0.0)
    expected = uncond + 3.0 * (setup.alone(1.0) - uncond) + 3.0 * -0.4 * (setup.alone(2.0) - uncond)
    assert torch.allclose(setup.guidance()(setup.x, SIGMA), expected, atol=1e-5)


def test_images_with_different_counts_of_parts_do_not_mix(toys: Any) -> None:
    single = ((1.0, constant(toys.text(1.0))),)
    double = ((1.0, constant(toys.text(1.0))), (0.5, constant(toys.text(3.0))))
    both = Setup(toys, [double, single, double])
    result = both.guidance()(both.x, SIGMA)
    for image, prompt in enumerate((double, single, double)):
        alone = Setup(toys, [prompt])
        assert torch.allclose(result[image : image + 1], alone.guidance()(alone.x, SIGMA))


def test_prompt_schedules_follow_the_count_of_calls(toys: Any) -> None:
    schedule = ((1, toys.text(1.0)), (9, toys.text(2.0)))
    setup = Setup(toys, [((1.0, schedule),)], cfg_scale=1.0)
    guidance = setup.guidance()
    results = [guidance(setup.x, SIGMA) for _ in range(3)]
    assert torch.allclose(results[1], setup.alone(1.0), atol=1e-5)
    assert torch.allclose(results[2], setup.alone(2.0), atol=1e-5)
    assert guidance.step == 3


def test_ngms_skips_every_other_call_below_the_sigma(one: Any) -> None:
    setup = one(s_min_uncond=3.0)
    guidance = setup.guidance()
    for sigma in (5.0, 5.0, 2.0, 2.0, 2.0):
        guidance(setup.x, torch.tensor(sigma))
    assert setup.network.rows == [2, 2, 2, 1, 2]


def test_ngms_on_all_steps_skips_every_call_below_the_sigma(one: Any) -> None:
    setup = one(s_min_uncond=3.0, s_min_uncond_all=True)
    guidance = setup.guidance()
    result = [guidance(setup.x, torch.tensor(sigma)) for sigma in (5.0, 2.0, 2.0)][-1]
    assert setup.network.rows == [2, 1, 1]
    assert torch.allclose(result, setup.alone(1.0), atol=1e-5)


def test_early_cfg_skip_covers_the_first_share_of_steps(one: Any) -> None:
    setup = one(skip_early_cond=0.2)
    guidance = setup.guidance()
    for _ in range(5):
        guidance(setup.x, SIGMA)
    assert setup.network.rows == [1, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("settings", "effects"),
    [
        ({"s_min_uncond": 3.0}, ["s_min_uncond", "s_min_uncond"]),
        ({"s_min_uncond": 1.0}, []),
        ({"skip_early_cond": 0.1}, ["skip_early_cond", "skip_early_cond"]),
        ({"skip_early_cond": 0.1, "s_min_uncond": 3.0}, ["skip_early_cond"] * 2 + ["s_min_uncond"]),
    ],
)
def test_what_skips_the_negative_is_told(
    settings: dict[str, float], effects: list[str], one: Any
) -> None:
    setup, told = one(**settings), []
    guidance = setup.guidance(on_effect=told.append)
    for _ in range(4):
        guidance(setup.x, SIGMA)
    assert told == effects


def test_the_negative_is_never_skipped_when_the_sampler_needs_it(one: Any) -> None:
    setup = one(skip_early_cond=1.0, s_min_uncond=9.0, s_min_uncond_all=True, always_uncond=True)
    guidance = setup.guidance()
    guidance(setup.x, SIGMA)
    assert setup.network.rows == [2]
    assert torch.allclose(guidance.uncond_of_last_call(), setup.alone(0.0), atol=1e-5)


def test_without_batching_the_network_runs_one_batch_at_a_time(one: Any) -> None:
    setup = one(batch_cond_uncond=False)
    together = one().guidance()(setup.x, SIGMA)
    assert torch.allclose(setup.guidance()(setup.x, SIGMA), together)
    assert setup.network.rows == [1, 1]


@pytest.mark.parametrize(("pad", "lengths"), [("none", [154, 77]), ("empty", [154]), ("v0", [154])])
def test_a_longer_prompt_than_negative_is_padded_as_asked(
    pad: str, lengths: list[int], toys: Any
) -> None:
    long = ((1.0, constant(toys.text(1.0, 154))),)
    setup = Setup(toys, [long], pad=pad)
    setup.model = replace(setup.model, empty=torch.zeros(1, 77, 2))
    effects: list[str] = []
    setup.guidance(on_effect=effects.append)(setup.x, SIGMA)
    assert setup.network.lengths == lengths
    assert effects == {"none": [], "empty": ["pad_cond_uncond"], "v0": ["pad_cond_uncond_v0"]}[pad]


@pytest.mark.parametrize("pad", ["empty", "v0"])
def test_texts_of_one_length_are_not_padded(pad: str, one: Any) -> None:
    setup = one(pad=pad)
    effects: list[str] = []
    setup.guidance(on_effect=effects.append)(setup.x, SIGMA)
    assert effects == []


class Small:
    """A denoiser on a device that holds so many rows."""

    def __init__(self, inner: Any, capacity: int) -> None:
        self.inner, self.capacity = inner, capacity
        self.asked: list[int] = []

    def __call__(self, x: Tensor, level: Tensor, cond: Any) -> Tensor:
        self.asked.append(len(x))
        if len(x) > self.capacity:
            raise torch.OutOfMemoryError("too large")
        return self.inner(x, level, cond)


def test_rows_are_split_where_memory_is_short_and_stay_so(toys: Any) -> None:
    parts = [((1.0, constant(toys.text(float(n)))),) for n in range(3)]
    setup = Setup(toys, parts)
    expected = setup.guidance()(setup.x, SIGMA)
    small = Small(setup.denoiser, 2)
    setup.model = replace(setup.model, denoiser=small)
    guidance = setup.guidance()
    assert torch.allclose(guidance(setup.x, SIGMA), expected, atol=1e-5)
    assert small.asked == [6, 3, 2, 2, 2]
    guidance(setup.x, SIGMA)
    assert small.asked[5:] == [2, 2, 2]


def test_one_row_too_large_for_the_memory_is_an_error(one: Any) -> None:
    setup = one()
    setup.model = replace(setup.model, denoiser=Small(setup.denoiser, 0))
    with pytest.raises(torch.OutOfMemoryError):
        setup.guidance()(setup.x, SIGMA)


def test_pad_v0_cuts_a_longer_negative(toys: Any) -> None:
    setup = Setup(toys, [((1.0, constant(toys.text(1.0))),)], pad="v0")
    setup.model = GuidedModel(setup.denoiser, setup.model.prompts, [constant(toys.text(0.0, 154))])
    setup.guidance()(setup.x, SIGMA)
    assert setup.network.lengths == [77]


def test_image_channels_reach_cond_and_uncond(one: Any) -> None:
    channels = torch.rand(1, 5, 4, 4)
    setup = one(image_cond=channels)
    setup.guidance()(setup.x, SIGMA)
    assert torch.equal(setup.network.concats[0], channels.repeat(2, 1, 1, 1))


def test_edit_models_are_guided_by_text_and_image_apart(one: Any) -> None:
    setup = one(image_cfg_scale=1.5, image_cond=torch.rand(1, 4, 4, 4))
    result = setup.guidance()(setup.x, SIGMA)
    cond, uncond = setup.alone(1.0), setup.alone(0.0)
    assert setup.network.rows == [1, 1, 1]
    blank = setup.network.concats[2]
    assert blank is not None and not blank.any()
    assert torch.allclose(result, uncond + 7.0 * (cond - uncond), atol=1e-5)


def test_hooks_are_called_in_order_and_can_change_what_they_see(one: Any) -> None:
    setup, calls = one(), []

    def before(event: BeforeDenoise) -> None:
        calls.append(("before", len(event.x), event.step, event.total_steps))
        event.cond, event.uncond = event.uncond, event.cond

    def denoised(event: AfterDenoise) -> None:
        calls.append(("denoised", len(event.x), event.step, event.total_steps))
        event.x = event.x * 2

    def after(event: AfterDenoise) -> None:
        calls.append(("after", len(event.x), event.step, event.total_steps))
        event.x = event.x + 1

    hooks = GuidanceHooks(before, denoised, after)
    result = setup.guidance(hooks=hooks)(setup.x, SIGMA)
    assert calls == [("before", 2, 0, 10), ("denoised", 2, 0, 10), ("after", 1, 0, 10)]
    cond, uncond = 2 * setup.alone(0.0), 2 * setup.alone(1.0)
    assert torch.allclose(result, uncond + 7.0 * (cond - uncond) + 1, atol=1e-5)


@pytest.mark.parametrize("is_before", [True, False])
def test_blending_puts_the_kept_part_back(is_before: bool, one: Any) -> None:
    seen = []

    def blend(latent: Tensor, level: Tensor, guidance: Guidance) -> Tensor:
        seen.append((latent.shape, level.tolist(), guidance.step))
        return torch.zeros_like(latent)

    setup = one(blend=blend, blend_before=is_before, cfg_scale=1.0)
    result = setup.guidance()(setup.x, SIGMA)
    assert seen == [((1, 4, 4, 4), [2.0], 0)]
    setup.x = torch.zeros_like(setup.x)
    assert torch.allclose(result, setup.alone(1.0) if is_before else setup.x, atol=1e-5)


@pytest.mark.parametrize("by_steps", [True, False])
def test_the_refiner_takes_over_once_its_share_is_reached(by_steps: bool, one: Any) -> None:
    setup, other = one(), one()
    shares = iter([0.0, 0.49, 0.5, 0.9])
    loads = []

    def load() -> GuidedModel:
        loads.append(1)
        return other.model

    guidance = setup.guidance(
        refiner=Refiner(0.2 if by_steps else 0.5, load, by_steps),
        finished_share=lambda level: next(shares),
    )
    for _ in range(4):
        guidance(setup.x, SIGMA)
    taken = 2
    assert len(setup.network.rows) == taken
    assert len(other.network.rows) == 4 - taken
    assert loads == [1]
