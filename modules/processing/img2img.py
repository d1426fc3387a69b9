"""One batch of img2img and inpainting: encode the pictures, add noise, sample, put back."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from modules.images import ResizeMode, resize_image
from modules.images.masks import kept_part
from modules.params.img2img import Img2ImgParams
from modules.processing.canvas import Canvas
from modules.processing.conditioning import Timeline
from modules.processing.image_cond import ImageInput, image_input, picture_cond
from modules.processing.inpaint import Inpainting, latent_masks, refill
from modules.processing.p import StableDiffusionProcessingImg2Img
from modules.processing.passes import (
    batch_noise,
    encode_batch,
    run_pass,
    sample_plan,
    sampled_model,
    start_from,
    to_tensor,
)
from modules.processing.soft_inpaint import overlay_masks
from modules.processing.stage import CELL, Batch, Stage
from modules.sampling.noise import ImageNoise
from modules.sampling.run import SamplePlan, img2img_steps, prompt_steps, sample_from
from modules.sampling.table import find_sampler


def from_pictures(
    stage: Stage, batch: Batch, params: Img2ImgParams
) -> tuple[Tensor | None, tuple[Canvas, ...]]:
    """Latent (B, C, h, w) of the batch's canvases painted anew, and what to put it back into.

    None when stopped before a step was done.
    """
    assert isinstance(stage.p, StableDiffusionProcessingImg2Img)
    seeds = stage.p.encode_seeds or batch.seeds
    generators = [torch.Generator().manual_seed(seed % 2**64) for seed in seeds]
    init = _encoded(stage, params, batch.canvases, generators)
    noise = batch_noise(stage, batch, (init.shape[1], init.shape[2], init.shape[3]))
    first = noise.next() * _noise_multiplier(params, batch)
    if stage.p.start_noise is not None:
        own = stage.p.start_noise(stage, batch, init, first)
        if own is None:
            stage.interrupted = True
            return None, batch.canvases
        first = own
    painting = _painting(stage, batch, params, init, first)
    if painting is not None:
        init = painting.init
    stage.p.show_latents(init, painting.paint if painting else None)
    plan = _plan(stage, batch, params, painting, generators)
    latent = _sampled(stage, batch, params, plan, init, noise, first)
    if latent is None or painting is None:
        return latent, batch.canvases
    latent = painting.finished(stage, latent)
    return latent, _with_soft_seams(batch, painting, latent)


def _with_soft_seams(batch: Batch, painting: Inpainting, latent: Tensor) -> tuple[Canvas, ...]:
    """The canvases; with soft inpainting their seams lie where the result really differs."""
    if batch.soft is None:
        return batch.canvases
    masks = overlay_masks(
        batch.soft, painting.paint, painting.init, latent, batch.canvases, batch.size
    )
    return tuple(
        dataclasses.replace(canvas, overlay=kept_part(canvas.source, mask), overlay_mask=mask)
        if canvas.overlay is not None and canvas.source is not None
        else canvas
        for canvas, mask in zip(batch.canvases, masks, strict=True)
    )


def _sampled(
    stage: Stage,
    batch: Batch,
    params: Img2ImgParams,
    plan: SamplePlan,
    init: Tensor,
    noise: ImageNoise,
    first: Tensor,
) -> Tensor | None:
    settings = batch.settings
    timeline = Timeline(
        prompt_steps(plan.sampler, params.steps), None, settings["use_old_scheduling"]
    )
    encode = functools.partial(encode_batch, stage, batch, batch.size, timeline)
    prompts = encode()
    stage.call("process_before_every_sampling", stage.p, init, first)
    strength = params.denoising_strength
    start = start_from(stage, batch, init, strength, fix_steps=settings["img2img_fix_steps"])
    walked = img2img_steps(params.steps, start.denoising_strength, start.fix_steps)[1]
    if find_sampler(plan.sampler).levels != "timesteps":
        walked += 1
    stage.report.begin_pass("Sampling", max(walked, 1))
    model = sampled_model(stage, batch)
    return run_pass(
        stage,
        batch,
        encode,
        lambda listeners: sample_from(
            plan, model, prompts, noise, listeners, start=start, first_noise=first
        ),
    )


def _encoded(
    stage: Stage,
    params: Img2ImgParams,
    canvases: Sequence[Canvas],
    generators: Sequence[torch.Generator],
) -> Tensor:
    """(B, C, h, w), each sampled from the VAE's posterior by its own generator.

    A picture that several share is encoded once.
    """
    encode = stage.pipeline.encode_image
    if all(canvas is canvases[0] for canvas in canvases):
        latent = encode(to_tensor([canvases[0].picture]), generators)
        return _of_size(latent, params)
    pairs = zip(canvases, generators, strict=True)
    latents = [encode(to_tensor([canvas.picture]), [generator]) for canvas, generator in pairs]
    return torch.cat([_of_size(latent, params) for latent in latents])


def _of_size(latent: Tensor, params: Img2ImgParams) -> Tensor:
    cells = (params.height // CELL, params.width // CELL)
    if tuple(latent.shape[2:]) != cells:
        latent = torch.nn.functional.interpolate(latent, cells, mode="bilinear")
    return latent


def _painting(
    stage: Stage, batch: Batch, params: Img2ImgParams, init: Tensor, first: Tensor
) -> Inpainting | None:
    paint = latent_masks(params, batch.canvases, init)
    if paint is None:
        return None
    fresh = batch_noise(stage, batch, (init.shape[1], init.shape[2], init.shape[3]), plain=True)
    init = refill(params, init, paint, fresh.next())
    return Inpainting(init, paint, first, batch.soft)


def _plan(
    stage: Stage,
    batch: Batch,
    params: Img2ImgParams,
    painting: Inpainting | None,
    generators: Sequence[torch.Generator],
) -> SamplePlan:
    sampler = str(params.sampler_name)
    plan = sample_plan(batch, sampler, params.scheduler, params.steps)
    kind = image_input(stage.pipeline)
    return dataclasses.replace(
        plan,
        image_cond=None
        if kind is ImageInput.NONE
        else _image_cond(stage, batch, params, generators),
        image_cfg_scale=params.image_cfg_scale if kind is ImageInput.EDIT else None,
        blend=painting.blender(stage, sampler) if painting else None,
    )


def _image_cond(
    stage: Stage, batch: Batch, params: Img2ImgParams, generators: Sequence[torch.Generator]
) -> Tensor | None:
    """(B, C, h, w) beside the latent, for models that take it."""
    size = (params.width // CELL * CELL, params.height // CELL * CELL)
    canvases = batch.canvases
    pictures = to_tensor([resize_image(c.picture, *size, ResizeMode.STRETCH) for c in canvases])
    paint = None
    if any(canvas.mask for canvas in canvases):
        paint = torch.stack([_shares(canvas, size) for canvas in canvases])
        paint = paint.round() if params.mask_round else paint
    weight = batch.settings["inpainting_mask_weight"]
    return picture_cond(stage.pipeline, pictures, paint, weight, generators)


def _shares(canvas: Canvas, size: tuple[int, int]) -> Tensor:
    """(1, H, W) in 0..1: the mask in pixels; everything where it is blank."""
    if canvas.mask is None:
        return torch.ones((1, size[1], size[0]))
    mask = resize_image(canvas.mask, *size, ResizeMode.STRETCH)
    return torch.from_numpy(np.asarray(mask, dtype=np.float32) / 255).unsqueeze(0)


def _noise_multiplier(params: Img2ImgParams, batch: Batch) -> float:
    own = params.initial_noise_multiplier
    return float(batch.settings["initial_noise_multiplier"] if own is None else own)
