"""One batch of txt2img: encode the prompts, sample, refine in a second pass, decode."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from modules.core.errors import Interrupted
from modules.core.hooks import Hooks
from modules.core.settings import SettingsView
from modules.images.grid import image_grid
from modules.params.generation import Txt2ImgParams
from modules.pipelines.base import Pipeline
from modules.processing.conditioning import Encoder, PromptCache, Timeline, encode_options
from modules.processing.finish import to_images
from modules.processing.p import StableDiffusionProcessingTxt2Img
from modules.processing.prepare import LATENT_UPSCALERS, hires_sizes
from modules.processing.report import Report, Stop
from modules.sampling.guidance import GuidanceHooks
from modules.sampling.noise import ImageNoise, NoiseRequest
from modules.sampling.options import SamplerOptions
from modules.sampling.run import (
    Listeners,
    Prompts,
    SampledModel,
    SamplePlan,
    Start,
    StepReport,
    prompt_steps,
    sample,
    sample_from,
)

CELL = 8
"""Pixels per latent."""
PREVIEW_SIDE = 1024
"""Pixels; a page shows no more, and every open page fetches it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything that one batch is made from; `params` are frozen after its hooks."""

    params: Txt2ImgParams
    settings: SettingsView
    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...]
    hr_prompts: tuple[str, ...]
    """Of the second pass."""
    hr_negative_prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    subseeds: tuple[int, ...]


@dataclass(slots=True)
class Stage:
    """The job around a batch: who computes, who listens, who is told."""

    pipeline: Pipeline
    cache: PromptCache
    hooks: Hooks
    report: Report
    p: StableDiffusionProcessingTxt2Img
    warnings: list[str] = field(default_factory=list)
    interrupted: bool = False

    def call(self, hook: str, *args: Any) -> None:
        """Call a hook and keep its warnings for the user."""
        self.warnings += self.hooks.call(hook, *args)


def make_batch(stage: Stage, batch: Batch) -> Tensor | None:
    """Pictures (B, 3, H, W) float32 in [0, 1]; None when stopped before there was anything."""
    latent = _first_pass(stage, batch)
    if latent is not None and batch.params.enable_hr and not stage.interrupted:
        latent = _second_pass(stage, batch, latent)
    if latent is None:
        return None
    stage.call("post_sample", stage.p, latent)
    return stage.pipeline.decode(latent)


def _first_pass(stage: Stage, batch: Batch) -> Tensor | None:
    params = batch.params
    shape = latent_shape(stage.pipeline, params.width, params.height)
    noise = _noise(stage, batch, shape)
    encoder = _encoder(stage, batch, (params.width, params.height))
    prompts = _prompts(encoder, batch, Timeline(_prompt_steps(params), None, _is_old(batch)))
    first = noise.next()
    stage.call("process_before_every_sampling", stage.p, first, first)
    stage.report.begin_pass("Sampling", params.steps)
    plan = _plan(batch, str(params.sampler_name), params.scheduler, params.steps)
    model = _sampled(stage.pipeline)
    return _until_stopped(
        stage,
        lambda listeners: sample(plan, model, prompts, noise, listeners, first_noise=first),
    )


def _second_pass(stage: Stage, batch: Batch, latent: Tensor) -> Tensor:
    """Enlarge and refine: "hires fix" (A1111 1.10 behaviour)."""
    params = batch.params
    steps = params.hr_second_pass_steps or params.steps
    sampler = _or_same(params.hr_sampler_name, "Use same sampler", params.sampler_name)
    schedule = _or_same(params.hr_scheduler, "Use same scheduler", params.scheduler)
    stage.p.is_hr_pass = True
    stage.call("before_hr", stage.p)
    larger = enlarge(stage.pipeline, latent, params)
    noise = _noise(stage, batch, (larger.shape[1], larger.shape[2], larger.shape[3]))
    size = (larger.shape[3] * CELL, larger.shape[2] * CELL)
    hires = dataclasses.replace(
        batch, prompts=batch.hr_prompts, negative_prompts=batch.hr_negative_prompts
    )
    timeline = Timeline(_prompt_steps(params), prompt_steps(sampler, steps), _is_old(batch))
    prompts = _prompts(_encoder(stage, batch, size), hires, timeline)
    first = noise.next()
    stage.call("process_before_every_sampling", stage.p, larger, first)
    stage.report.begin_pass("Hires fix", steps)
    strength = params.denoising_strength
    start = Start(larger, 0.75 if strength is None else strength, fix_steps=True)
    plan = _plan(batch, sampler, schedule, steps)
    model = _sampled(stage.pipeline)
    refined = _until_stopped(
        stage,
        lambda listeners: sample_from(
            plan, model, prompts, noise, listeners, start=start, first_noise=first
        ),
    )
    stage.p.is_hr_pass = False
    return larger if refined is None else refined


def latent_shape(pipeline: Pipeline, width: int, height: int) -> tuple[int, int, int]:
    """(C, h, w) of a picture's latent; what does not fill a cell is cut off."""
    return (pipeline.spec.latent_channels, height // CELL, width // CELL)


def enlarge(pipeline: Pipeline, latent: Tensor, params: Txt2ImgParams) -> Tensor:
    """The first pass's latent (B, C, h, w) at the size of the second pass."""
    scaled, final = hires_sizes(params)
    upscaler = str(params.hr_upscaler or "Latent")
    if upscaler in LATENT_UPSCALERS:
        mode, antialias = LATENT_UPSCALERS[upscaler]
        cells = (scaled[1] // CELL, scaled[0] // CELL)
        larger = torch.nn.functional.interpolate(latent, cells, mode=mode, antialias=antialias)
        return _crop(larger, scaled, final)
    filters = {"Nearest": Image.Resampling.NEAREST}
    resample = filters.get(upscaler, Image.Resampling.LANCZOS)
    small = to_images(pipeline.decode(latent))
    pictures = [image.resize(scaled, resample) for image in small]
    left, top = (scaled[0] - final[0]) // 2, (scaled[1] - final[1]) // 2
    cropped = [image.crop((left, top, left + final[0], top + final[1])) for image in pictures]
    return pipeline.encode_image(_to_tensor(cropped))


def _crop(latent: Tensor, scaled: tuple[int, int], final: tuple[int, int]) -> Tensor:
    """The centre of `latent`; what is cut off is counted in cells."""
    cut_x, cut_y = (scaled[0] - final[0]) // CELL, (scaled[1] - final[1]) // CELL
    height, width = latent.shape[2], latent.shape[3]
    rows = slice(cut_y // 2, height - (cut_y + 1) // 2)
    columns = slice(cut_x // 2, width - (cut_x + 1) // 2)
    return latent[:, :, rows, columns]


def _to_tensor(images: list[Image.Image]) -> Tensor:
    """(B, 3, H, W) float32 in [-1, 1]."""
    import numpy as np

    levels = np.stack([np.asarray(image, dtype=np.float32) for image in images])
    return torch.from_numpy(levels).movedim(-1, 1) / 255.0 * 2.0 - 1.0


def _prompts(encoder: Encoder, batch: Batch, timeline: Timeline) -> Prompts:
    pads = batch.settings["pad_cond_uncond"]
    return Prompts(
        positive=[encoder.prompt(text, timeline) for text in batch.prompts],
        negative=[encoder.negative(text, timeline) for text in batch.negative_prompts],
        empty=encoder.empty().crossattn if pads else None,
    )


def _encoder(stage: Stage, batch: Batch, size: tuple[int, int]) -> Encoder:
    options = functools.partial(encode_options, batch.params, batch.settings, size)
    return Encoder(
        pipeline=stage.pipeline,
        cache=stage.cache,
        options=options(is_negative=False),
        negative_options=options(is_negative=True),
    )


def _noise(stage: Stage, batch: Batch, shape: tuple[int, int, int]) -> ImageNoise:
    params, settings = batch.params, batch.settings
    resize = (params.seed_resize_from_h // CELL, params.seed_resize_from_w // CELL)
    return ImageNoise(
        NoiseRequest(
            shape=shape,
            seeds=batch.seeds,
            subseeds=batch.subseeds,
            subseed_strength=params.subseed_strength,
            resize_from=resize if min(resize) > 0 else None,
            seed_delta=settings["eta_noise_seed_delta"],
            source=settings["randn_source"],
            device=stage.pipeline.device,
        )
    )


def _plan(batch: Batch, sampler: str, schedule: str | None, steps: int) -> SamplePlan:
    return SamplePlan(
        sampler=sampler,
        scheduler=schedule,
        steps=steps,
        cfg_scale=batch.params.cfg_scale,
        options=sampler_options(batch.params, batch.settings),
    )


def sampler_options(params: Txt2ImgParams, settings: SettingsView) -> SamplerOptions:
    """The sampler's settings; what the request says of its own goes before the settings."""
    names = {row.name for row in dataclasses.fields(SamplerOptions)}
    values = {name: settings[name] for name in names if name in settings}
    own = {name: getattr(params, name, None) for name in names}
    return SamplerOptions(**values | {k: v for k, v in own.items() if v is not None})


def _sampled(pipeline: Pipeline) -> SampledModel:
    spec = pipeline.spec
    return SampledModel(
        network=pipeline.predict,
        alphas_cumprod=pipeline.alphas_cumprod,
        prediction=spec.prediction or "epsilon",
        is_sdxl=bool(spec.size_vector),
    )


def _until_stopped(stage: Stage, run: Callable[[Listeners], Tensor]) -> Tensor | None:
    """The latent of a run, or what it had reached when it was told to stop."""
    reached: list[Tensor] = []

    def on_step(step: StepReport) -> bool:
        reached[:] = [step.denoised]
        stage.report.step(step.step, lambda: preview(stage, step.denoised))
        return stage.report.stop in (Stop.NOW, Stop.SKIP)

    try:
        return run(Listeners(on_step=on_step, hooks=_guidance_hooks(stage)))
    except Interrupted:
        stage.interrupted = True
        return reached[0] if reached else None


def preview(stage: Stage, latent: Tensor) -> Image.Image:
    """A rough picture of a batch while it is being sampled, at most PREVIEW_SIDE pixels a side."""
    wanted = latent if stage.p.settings["show_progress_grid"] else latent[:1]
    image = image_grid(to_images(stage.pipeline.preview_rgb(wanted)))
    scale = min(CELL, PREVIEW_SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR)


def _guidance_hooks(stage: Stage) -> GuidanceHooks:
    """Only hooks that someone listens to; the others cost nothing at each step."""

    def caller(name: str) -> Callable[[Any], None] | None:
        return functools.partial(stage.call, name) if stage.hooks.used(name) else None

    return GuidanceHooks(
        cfg_denoiser=caller("cfg_denoiser"),
        cfg_denoised=caller("cfg_denoised"),
        cfg_after_cfg=caller("cfg_after_cfg"),
    )


def _prompt_steps(params: Txt2ImgParams) -> int:
    return prompt_steps(str(params.sampler_name), params.steps)


def _is_old(batch: Batch) -> bool:
    return bool(batch.settings["use_old_scheduling"])


def _or_same(value: str | None, same: str, first: str | None) -> str:
    return str(first) if value in (None, "", same) else str(value)
