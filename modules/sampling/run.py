"""Sampling from start to end: noise or a noised picture in, clean latent out.

Puts the table's row, the schedule, the denoiser, guidance and noise together. Knows no model
files, no text and no pictures.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from modules.core.errors import Interrupted
from modules.sampling.brownian import BrownianNoise
from modules.sampling.denoiser import (
    ConsistencyDenoiser,
    ConsistencySchedule,
    Denoiser,
    EpsilonDenoiser,
    NoiseSchedule,
    TimestepEpsilon,
    TimestepVelocity,
    VelocityDenoiser,
    effective_alphas,
)
from modules.sampling.guidance import Guidance, GuidanceSettings, GuidedModel, Padding, Refiner
from modules.sampling.noise import ImageNoise
from modules.sampling.options import SamplerOptions
from modules.sampling.plan import (
    Listeners,
    Prompts,
    Refinement,
    SampledModel,
    SamplePlan,
    Start,
    StepCallback,
    StepReport,
)
from modules.sampling.sigmas import make_sigmas
from modules.sampling.table import SamplerRow, find_sampler, scheduler_for
from modules.sampling.timestep_samplers import make_timesteps
from modules.sampling.walk import Walk

__all__ = [
    "Listeners",
    "Prompts",
    "Refinement",
    "SamplePlan",
    "SampledModel",
    "Start",
    "StepCallback",
    "StepReport",
    "img2img_steps",
    "prompt_steps",
    "sample",
    "sample_from",
    "sampler_sigmas",
]

LARGEST_STRENGTH = 0.999


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
    schedule = _schedule(row, model, plan.options)
    return _sigmas(plan, row, schedule, model.is_sdxl, steps or plan.steps)


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
        default_eta = options.eta_ddim if row.levels == "timesteps" else options.eta_ancestral
        walk = Walk(
            noise=self._fresh_noise(x, span),
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
        return row.sampler()(guidance, x, levels, walk)

    def _fresh_noise(self, like: Tensor, span: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
        """Where the sampler's own noise comes from: one Brownian path per image, or its stream."""
        if self._row.uses_brownian_noise and span is not None:
            seeds = self._noise.request.seeds
            return BrownianNoise(like, span, seeds, self._plan.options.randn_source)
        return lambda level, level_next: self._noise.next()

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
            pad=_padding(options),
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
            on_effect=self._listeners.on_effect,
        )

    def _guided(self, model: SampledModel, prompts: Prompts) -> GuidedModel:
        schedule = _schedule(self._row, model, self._plan.options)
        denoiser = _denoiser(self._row, model, schedule)
        return GuidedModel(denoiser, prompts.positive, prompts.negative, prompts.empty)

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
    alphas = effective_alphas(
        model.alphas_cumprod.cpu(),
        downcast=options.use_downcasted_alpha_bar,
        zero_terminal_snr=options.sd_noise_schedule == "Zero Terminal SNR",
    )
    schedule = NoiseSchedule(alphas, options.enable_quantization)
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


def _padding(options: SamplerOptions) -> Padding:
    if options.pad_cond_uncond_v0:
        return "v0"
    return "empty" if options.pad_cond_uncond else "none"


def _add_extra_noise(x: Tensor, noise: Tensor, start: Start, scale: float) -> Tensor:
    """Extra noise for detail (img2img_extra_noise); the hook may replace the noise."""
    if start.extra_noise <= 0:
        return x
    if start.on_extra_noise is not None:
        noise = start.on_extra_noise(noise, start.latent, x)
    return x + noise * start.extra_noise * scale
