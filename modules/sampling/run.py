"""Sampling from start to end: noise or a noised picture in, clean latent out.

Puts the table's row, the schedule, the denoiser, guidance and noise together. Knows no model
files, no text and no pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from modules.core.errors import Interrupted
from modules.sampling.brownian import BrownianNoise
from modules.sampling.conditioning import ImagePrompt, ScheduledCond
from modules.sampling.denoiser import (
    ConsistencyDenoiser,
    ConsistencySchedule,
    Denoiser,
    EpsilonDenoiser,
    Network,
    NoiseSchedule,
    TimestepEpsilon,
    TimestepVelocity,
    VelocityDenoiser,
)
from modules.sampling.guidance import (
    Blend,
    Guidance,
    GuidanceHooks,
    GuidanceSettings,
    GuidedModel,
    Refiner,
)
from modules.sampling.noise import ImageNoise
from modules.sampling.options import SamplerOptions
from modules.sampling.sigmas import make_sigmas
from modules.sampling.table import SamplerRow, find_sampler, scheduler_for
from modules.sampling.timestep_samplers import make_timesteps
from modules.sampling.walk import Walk

LARGEST_STRENGTH = 0.999


@dataclass(frozen=True, slots=True)
class SampledModel:
    """A network with its noise table: (T,) float32 alphas_cumprod on the CPU."""

    network: Network
    alphas_cumprod: Tensor
    prediction: Literal["epsilon", "v"] = "epsilon"
    is_sdxl: bool = False


@dataclass(frozen=True, slots=True)
class Prompts:
    """One positive and one negative per image, encoded for one model."""

    positive: Sequence[ImagePrompt]
    negative: Sequence[ScheduledCond]
    empty: Tensor | None = None


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """How to sample one batch.

    sampler, scheduler: names of the tables (scheduler None: Automatic).
    image_cfg_scale: instruct-pix2pix models only. image_cond: (B, C, h, w) channels beside the
    latent. blend: puts the kept part of a picture back at each step (inpainting).
    """

    sampler: str
    steps: int
    cfg_scale: float
    scheduler: str | None = None
    options: SamplerOptions = field(default_factory=SamplerOptions)
    image_cfg_scale: float | None = None
    image_cond: Tensor | None = None
    blend: Blend | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """A picture to start from: latent (B, C, h, w) float32.

    fix_steps: walk exactly the plan's steps whatever the strength (hires passes, and img2img
    with `img2img_fix_steps`). extra_noise: share of the noise added once more.
    """

    latent: Tensor
    denoising_strength: float
    fix_steps: bool = False
    extra_noise: float = 0.0
    on_extra_noise: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step done: `step` of `steps` (from 1), its level, and x0 (B, C, h, w) as of now.

    The level is a sigma, or a timestep with DDIM, PLMS and UniPC. DPM adaptive may take more
    steps than `steps`.
    """

    step: int
    steps: int
    sigma: float
    denoised: Tensor


StepCallback = Callable[[StepReport], bool]
"""Called after each step; True stops the run (Interrupted is raised)."""


@dataclass(frozen=True, slots=True)
class Refinement:
    """A second model for the last part of the way; `load` gives it when its time has come."""

    switch_at: float
    load: Callable[[], tuple[SampledModel, Prompts]]
    by_steps: bool = False


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told and asked during a run."""

    on_step: StepCallback | None = None
    hooks: GuidanceHooks = field(default_factory=GuidanceHooks)
    refinement: Refinement | None = None


@torch.no_grad()
def sample(
    plan: SamplePlan,
    model: SampledModel,
    prompts: Prompts,
    noise: ImageNoise,
    listeners: Listeners | None = None,
    *,
    first_noise: Tensor | None = None,
) -> Tensor:
    """A clean latent (B, C, h, w) float32 from noise alone (txt2img).

    first_noise: (B, C, h, w) standard normal, drawn from `noise` where None.
    Raises Interrupted, and NotFound for an unknown sampler or scheduler.
    """
    run = _Run(plan, model, prompts, noise, listeners or Listeners())
    x = noise.next() if first_noise is None else first_noise
    return run.from_noise(x)


@torch.no_grad()
def sample_from(
    plan: SamplePlan,
    model: SampledModel,
    prompts: Prompts,
    noise: ImageNoise,
    listeners: Listeners | None = None,
    *,
    start: Start,
    first_noise: Tensor | None = None,
) -> Tensor:
    """A clean latent (B, C, h, w) float32 from a picture and noise (img2img, hires pass).

    first_noise and errors as for `sample`.
    """
    run = _Run(plan, model, prompts, noise, listeners or Listeners())
    x = noise.next() if first_noise is None else first_noise
    return run.from_picture(x, start)


def img2img_steps(steps: int, strength: float, fix_steps: bool) -> tuple[int, int]:
    """(steps of the whole schedule, steps of it that are walked, less one).

    >>> img2img_steps(20, 0.5, fix_steps=False)
    (20, 10)
    >>> img2img_steps(20, 0.5, fix_steps=True)
    (40, 19)
    """
    strength = min(strength, LARGEST_STRENGTH)
    if not fix_steps:
        return steps, int(strength * steps)
    return (int(steps / strength), steps - 1) if strength > 0 else (0, steps - 1)


def prompt_steps(sampler: str, steps: int) -> int:
    """The number of steps that prompt schedules of this sampler count with."""
    return find_sampler(sampler).total_steps(steps)


def sampler_sigmas(plan: SamplePlan, model: SampledModel, steps: int | None = None) -> Tensor:
    """The descending sigmas that a sigma sampler walks: float32 on the CPU."""
    row = find_sampler(plan.sampler)
    return _sigmas(
        plan, row, _schedule(row, model, plan.options), model.is_sdxl, steps or plan.steps
    )


class _Run:
    """One run's parts, built once: row, schedule, guidance."""

    def __init__(
        self,
        plan: SamplePlan,
        model: SampledModel,
        prompts: Prompts,
        noise: ImageNoise,
        listeners: Listeners,
    ) -> None:
        self._plan, self._model, self._prompts = plan, model, prompts
        self._noise, self._listeners = noise, listeners
        self._row = find_sampler(plan.sampler)
        self._schedule = _schedule(self._row, model, plan.options)

    def from_noise(self, noise: Tensor) -> Tensor:
        plan, schedule = self._plan, self._schedule
        if self._row.levels == "timesteps":
            timesteps = self._timesteps(plan.steps)
            return self._walk(noise, timesteps, len(timesteps), steps=plan.steps)
        sigmas = _sigmas(plan, self._row, schedule, self._model.is_sdxl, plan.steps)
        scale = (1.0 + sigmas[0] ** 2.0) ** 0.5 if plan.options.sgm_noise_multiplier else sigmas[0]
        x = noise * scale
        if self._row.levels == "range":
            ends = torch.tensor([schedule.sigma_max, schedule.sigma_min, 0.0])
            return self._walk(x, ends, plan.steps, steps=plan.steps)
        return self._walk(x, sigmas, len(sigmas) - 1, steps=plan.steps, span=sigmas)

    def from_picture(self, noise: Tensor, start: Start) -> Tensor:
        plan = self._plan
        steps, last = img2img_steps(plan.steps, start.denoising_strength, start.fix_steps)
        if steps == 0:
            return start.latent
        if self._row.levels == "timesteps":
            return self._timesteps_from_picture(noise, start, steps, last)
        sigmas = _sigmas(plan, self._row, self._schedule, self._model.is_sdxl, steps)
        walked = sigmas[steps - last - 1 :]
        x = start.latent + noise * walked[0]
        x = _add_extra_noise(x, noise, start, 1.0)
        return self._walk(
            x, walked, len(walked) - 1, steps=last + 1, span=sigmas, starts_midway=True
        )

    def _timesteps_from_picture(self, noise: Tensor, start: Start, steps: int, last: int) -> Tensor:
        timesteps = self._timesteps(steps)
        alpha = float(self._schedule.alphas_cumprod[timesteps[last]])
        x = start.latent * alpha**0.5 + noise * (1 - alpha) ** 0.5
        x = _add_extra_noise(x, noise, start, alpha**0.5)
        walked = timesteps[:last]
        return self._walk(x, walked, len(walked), steps=last + 1, starts_midway=True)

    def _timesteps(self, steps: int) -> Tensor:
        discards = self._plan.options.always_discard_next_to_last_sigma
        return make_timesteps(steps + 1 if discards else steps, len(self._schedule))

    def _walk(
        self,
        x: Tensor,
        levels: Tensor,
        count: int,
        *,
        steps: int,
        span: Tensor | None = None,
        starts_midway: bool = False,
    ) -> Tensor:
        """Run the sampler. `count`: what it reports and divides up; `steps`: what prompts count;
        `span`: sigmas that the Brownian path covers."""
        row, options = self._row, self._plan.options
        guidance = self._guidance(steps)
        brownian = row.uses_brownian_noise and span is not None
        seeds = self._noise.request.seeds
        fresh = (
            BrownianNoise(x, span, seeds, options.randn_source)
            if brownian
            else (lambda sigma, sigma_next: self._noise.next())
        )
        default_eta = options.eta_ddim if row.levels == "timesteps" else options.eta_ancestral
        walk = Walk(
            noise=fresh,
            report=self._reporter(count),
            steps=count,
            schedule=self._schedule,
            last_uncond=guidance.uncond_of_last_call,
            options=options,
            starts_midway=starts_midway,
            eta=default_eta if options.eta is None else options.eta,
            s_churn=options.s_churn,
            s_tmin=options.s_tmin,
            s_tmax=options.s_tmax or float("inf"),
            s_noise=options.s_noise if row.uses_s_noise else 1.0,
        )
        return row.function(guidance, x, levels, walk)

    def _reporter(self, count: int) -> Callable[[int, Tensor, Tensor], None]:
        on_step = self._listeners.on_step

        def report(step: int, level: Tensor, denoised: Tensor) -> None:
            if on_step and on_step(StepReport(step + 1, count, float(level), denoised)):
                raise Interrupted(f"Stopped at step {step + 1} of {count}.")

        return report

    def _guidance(self, steps: int) -> Guidance:
        plan, options, row = self._plan, self._plan.options, self._row
        settings = GuidanceSettings(
            cfg_scale=plan.cfg_scale * row.cfg_multiplier,
            total_steps=row.total_steps(steps),
            image_cfg_scale=plan.image_cfg_scale,
            image_cond=plan.image_cond,
            s_min_uncond=options.s_min_uncond,
            s_min_uncond_all=options.s_min_uncond_all,
            skip_early_cond=options.skip_early_cond,
            batch_cond_uncond=options.batch_cond_uncond,
            pad="v0"
            if options.pad_cond_uncond_v0
            else "empty"
            if options.pad_cond_uncond
            else "none",
            empty_prompt=self._prompts.empty,
            always_uncond=row.needs_uncond,
            blend=plan.blend,
            blend_before=row.levels == "timesteps",
        )
        return Guidance(
            self._guided(self._model, self._prompts),
            settings,
            hooks=self._listeners.hooks,
            refiner=self._refiner(),
            finished_share=self._finished_share,
        )

    def _guided(self, model: SampledModel, prompts: Prompts) -> GuidedModel:
        schedule = _schedule(self._row, model, self._plan.options)
        denoiser = _denoiser(self._row, model, schedule)
        return GuidedModel(denoiser, prompts.positive, prompts.negative)

    def _refiner(self) -> Refiner | None:
        refinement = self._listeners.refinement
        if refinement is None:
            return None
        return Refiner(
            switch_at=refinement.switch_at,
            load=lambda: self._guided(*refinement.load()),
            by_steps=refinement.by_steps,
        )

    def _finished_share(self, level: Tensor) -> float:
        """Share of the noise levels that lie behind, by the nearest row of the table."""
        highest = level.max().cpu()
        if self._row.levels == "timesteps":
            row = int(highest)
        else:
            row = int((self._schedule.sigmas - highest).abs().argmin())
        return (len(self._schedule) - 1 - row) / len(self._schedule)


def _schedule(row: SamplerRow, model: SampledModel, options: SamplerOptions) -> NoiseSchedule:
    schedule = NoiseSchedule(model.alphas_cumprod.cpu(), options.enable_quantization)
    return ConsistencySchedule(schedule) if row.is_consistency else schedule


def _denoiser(row: SamplerRow, model: SampledModel, schedule: NoiseSchedule) -> Denoiser:
    """The prediction that the sampler's kind wants, from the model's kind of output."""
    if row.levels == "timesteps":
        if model.prediction == "v":
            return TimestepVelocity(model.network, schedule)
        return TimestepEpsilon(model.network)
    kind = VelocityDenoiser if model.prediction == "v" else EpsilonDenoiser
    denoiser = kind(model.network, schedule)
    return ConsistencyDenoiser(denoiser, schedule) if row.is_consistency else denoiser


def _sigmas(
    plan: SamplePlan, row: SamplerRow, schedule: NoiseSchedule, is_sdxl: bool, steps: int
) -> Tensor:
    discards = row.discards_next_to_last_sigma or plan.options.always_discard_next_to_last_sigma
    scheduler = scheduler_for(row, plan.scheduler)
    count = steps + 1 if discards else steps
    sigmas = make_sigmas(scheduler, count, schedule, plan.options, is_sdxl=is_sdxl)
    return torch.cat([sigmas[:-2], sigmas[-1:]]) if discards else sigmas


def _add_extra_noise(x: Tensor, noise: Tensor, start: Start, scale: float) -> Tensor:
    """Extra noise for detail (img2img_extra_noise); the hook may replace the noise."""
    if start.extra_noise <= 0:
        return x
    if start.on_extra_noise is not None:
        noise = start.on_extra_noise(noise, start.latent, x)
    return x + noise * start.extra_noise * scale
