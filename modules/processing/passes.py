"""What every sampling pass needs: prompts, noise, plan, the refiner, and how it is stopped.

Functions over a Batch; txt2img, its second pass and img2img are made of them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from modules.core.errors import Interrupted
from modules.core.settings import SettingsView
from modules.images.grid import image_grid
from modules.params.generation import GenerationParams
from modules.pipelines.precision import float32_attention
from modules.processing.conditioning import Encoder, Timeline, encode_options
from modules.processing.facts import attention_tiles, effect_pairs, token_merging_ratio
from modules.processing.finish import to_images
from modules.processing.report import Stop
from modules.processing.stage import CELL, Batch, Stage
from modules.processing.vae_methods import preview_pixels
from modules.sampling.conditioning import Conditioning
from modules.sampling.denoiser import Network
from modules.sampling.guidance import Effect, GuidanceHooks
from modules.sampling.noise import ImageNoise, NoiseRequest
from modules.sampling.options import SamplerOptions
from modules.sampling.run import (
    Listeners,
    Prompts,
    Refinement,
    SampledModel,
    SamplePlan,
    Start,
    StepReport,
)

NOTED_LAST = ("pad_cond_uncond", "pad_cond_uncond_v0")
"""Effects that an infotext names behind all others; A1111 1.10 behaviour."""
DEFAULT_STRENGTH = 0.75
"""Where the request leaves denoising_strength out."""
PREVIEW_SIDE = 1024
"""Pixels; a page shows no more, and every open page fetches it."""


@dataclasses.dataclass(slots=True)
class ExtraNoiseParams:
    """What the hook extra_noise may change: all (B, C, h, w), `noise` is added once more."""

    noise: Tensor
    x: Tensor
    """The picture's latent."""
    xi: Tensor
    """The same with its first noise."""


def encode_batch(stage: Stage, batch: Batch, size: tuple[int, int], timeline: Timeline) -> Prompts:
    """The batch's prompts for the model at work; `size` is (width, height) of the pass."""
    options = functools.partial(encode_options, batch.params, batch.settings, size)
    encoder = Encoder(
        pipeline=stage.pipeline,
        cache=stage.cache,
        options=options(is_negative=False),
        negative_options=options(is_negative=True),
    )
    pads = batch.settings["pad_cond_uncond"]
    prompts = Prompts(
        positive=[encoder.prompt(text, timeline) for text in batch.prompts],
        negative=[encoder.negative(text, timeline) for text in batch.negative_prompts],
        empty=encoder.empty().crossattn if pads else None,
    )
    batch.networks.note_embeddings(tuple(encoder.embeddings))
    return prompts


def batch_noise(
    stage: Stage, batch: Batch, shape: tuple[int, int, int], *, plain: bool = False
) -> ImageNoise:
    """The noise of a pass whose latents are (C, h, w); plain: by the seeds alone."""
    params, settings = batch.params, batch.settings
    resize = (params.seed_resize_from_h // CELL, params.seed_resize_from_w // CELL)
    return ImageNoise(
        NoiseRequest(
            shape=shape,
            seeds=batch.seeds,
            subseeds=() if plain else batch.subseeds,
            subseed_strength=params.subseed_strength,
            resize_from=resize if min(resize) > 0 and not plain else None,
            seed_delta=settings["eta_noise_seed_delta"],
            source=settings["randn_source"],
            device=stage.pipeline.device,
        )
    )


def start_from(
    stage: Stage, batch: Batch, latent: Tensor, strength: float | None, *, fix_steps: bool
) -> Start:
    """A run's start from `latent` (B, C, h, w), with the extra noise that the settings ask for."""
    used = stage.hooks.used("extra_noise")

    def on_extra_noise(noise: Tensor, latent: Tensor, noised: Tensor) -> Tensor:
        params = ExtraNoiseParams(noise, latent, noised)
        stage.call("extra_noise", params)
        return params.noise

    return Start(
        latent,
        DEFAULT_STRENGTH if strength is None else strength,
        fix_steps=fix_steps,
        extra_noise=batch.settings["img2img_extra_noise"],
        on_extra_noise=on_extra_noise if used else None,
    )


def sample_plan(batch: Batch, sampler: str, schedule: str | None, steps: int) -> SamplePlan:
    """How to sample a pass."""
    return SamplePlan(
        sampler=sampler,
        scheduler=schedule,
        steps=steps,
        cfg_scale=batch.params.cfg_scale,
        options=sampler_options(batch.params, batch.settings),
    )


def sampler_options(params: GenerationParams, settings: SettingsView) -> SamplerOptions:
    """The sampler's settings; what the request says of its own goes before the settings."""
    names = {row.name for row in dataclasses.fields(SamplerOptions)}
    values = {name: settings[name] for name in names if name in settings}
    own = {name: getattr(params, name, None) for name in names}
    return SamplerOptions(**values | {k: v for k, v in own.items() if v is not None})


def sampled_model(stage: Stage, batch: Batch) -> SampledModel:
    """The model at work as the sampler sees it."""
    pipeline = stage.pipeline
    return SampledModel(
        network=_network(stage, batch),
        alphas_cumprod=pipeline.alphas_cumprod,
        prediction=pipeline.spec.prediction or "epsilon",
        is_sdxl=bool(pipeline.spec.size_vector),
    )


def _network(stage: Stage, batch: Batch) -> Network:
    """The network of the model at work, with what the settings change in it at each call."""
    pipeline = stage.pipeline
    ratio = token_merging_ratio(batch.params, batch.settings, is_hires=stage.p.is_hr_pass)
    upcasts = batch.settings["upcast_attn"] and pipeline.dtype != torch.float32
    tiles = attention_tiles(batch.settings, "unet", is_hires=stage.p.is_hr_pass)
    if not ratio and not upcasts and not tiles:
        return pipeline.predict

    def predict(x: Tensor, t: Tensor, cond: Conditioning) -> Tensor:
        with ExitStack() as changes:
            if ratio:
                changes.enter_context(pipeline.merging_tokens(ratio))
            if tiles:
                changes.enter_context(pipeline.tiling_attention(tiles))
            if upcasts:
                changes.enter_context(float32_attention())
            return pipeline.predict(x, t, cond)

    return predict


def run_pass(
    stage: Stage, batch: Batch, encode: Callable[[], Prompts], run: Callable[[Listeners], Tensor]
) -> Tensor | None:
    """The latent of a run, or what it had reached when it was told to stop.

    `encode` encodes the pass's prompts for the model at work, for a refiner that takes over.
    """
    reached: list[Tensor] = []
    effects: list[Effect] = []

    def note(effect: Effect) -> None:
        for name, value in effect_pairs(batch.params, batch.settings, effect).items():
            stage.p.extra_generation_params.setdefault(name, value)

    def on_effect(effect: Effect) -> None:
        if effect not in effects:
            effects.append(effect)
            if effect not in NOTED_LAST:
                note(effect)

    def on_step(step: StepReport) -> bool:
        reached[:] = [step.denoised]
        stage.report.step(step.step, lambda: preview(stage, step.denoised))
        return stage.report.stop in (Stop.NOW, Stop.SKIP)

    listeners = Listeners(
        on_step=on_step,
        hooks=_guidance_hooks(stage),
        refinement=_refinement(stage, batch, encode),
        on_effect=on_effect,
    )
    try:
        return run(listeners)
    except Interrupted:
        stage.interrupted = True
        return reached[0] if reached else None
    finally:
        for effect in effects:
            note(effect)


def _refinement(stage: Stage, batch: Batch, encode: Callable[[], Prompts]) -> Refinement | None:
    """The refiner of this pass, if there is one; it stays at work until the batch is decoded."""
    name, settings = batch.params.refiner_checkpoint, batch.settings
    if name in (None, "", "None") or stage.is_at_work(name):
        return None
    passes = settings["hires_fix_refiner_pass"]
    if getattr(batch.params, "enable_hr", False):
        other = "first pass" if stage.p.is_hr_pass else "second pass"
        if passes == other:
            return None
    switch_at = batch.params.refiner_switch_at

    def load() -> tuple[SampledModel, Prompts]:
        stage.put_to_work(name)
        extra = stage.p.extra_generation_params
        if getattr(batch.params, "enable_hr", False) and passes != "second pass":
            extra.setdefault("Hires refiner", passes)
        extra.setdefault("Refiner", name)
        extra.setdefault("Refiner switch at", switch_at)
        return sampled_model(stage, batch), encode()

    return Refinement(
        switch_at=switch_at or 0.0,
        load=load,
        by_steps=settings["refiner_switch_by_sample_steps"],
    )


def preview(stage: Stage, latent: Tensor) -> Image.Image:
    """A rough picture of a batch while it is being sampled, at most PREVIEW_SIDE pixels a side."""
    settings = stage.p.settings
    wanted = latent if settings["show_progress_grid"] else latent[:1]
    pixels = preview_pixels(stage, wanted, settings)
    image = image_grid(to_images(pixels))
    scale = min(CELL * latent.shape[-1] / pixels.shape[-1], PREVIEW_SIDE / max(image.size))
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


def to_tensor(images: list[Image.Image]) -> Tensor:
    """(B, 3, H, W) float32 in [-1, 1]."""
    import numpy as np

    levels = np.stack([np.asarray(image.convert("RGB"), dtype=np.float32) for image in images])
    return torch.from_numpy(levels).movedim(-1, 1) / 255.0 * 2.0 - 1.0
