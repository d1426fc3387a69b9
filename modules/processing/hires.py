"""The second pass of txt2img, "hires fix": enlarge, add noise, sample again.

A1111 1.10 behaviour: a latent is enlarged as it is, whatever model takes over; pixel upscalers
decode with the first pass's model and encode with the second pass's.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor

from modules.core.settings import SettingsView
from modules.images import decode_base64, flatten
from modules.params.generation import Txt2ImgParams
from modules.processing.conditioning import Timeline
from modules.processing.finish import to_images
from modules.processing.image_cond import blank_cond
from modules.processing.passes import (
    batch_noise,
    encode_batch,
    run_pass,
    sample_plan,
    sampled_model,
    start_from,
    to_tensor,
)
from modules.processing.prepare import LATENT_UPSCALERS, hires_sizes
from modules.processing.stage import CELL, Batch, Stage
from modules.processing.upscaling import upscale_in_job
from modules.sampling.run import Prompts, prompt_steps, sample_from


def second_pass(
    stage: Stage, batch: Batch, params: Txt2ImgParams, first: Tensor | Image.Image
) -> Tensor:
    """Latent (B, C, h, w) of the second pass, from that of the first or from a picture."""
    steps = params.hr_second_pass_steps or params.steps
    sampler = _or_same(params.hr_sampler_name, "Use same sampler", params.sampler_name)
    schedule = _or_same(params.hr_scheduler, "Use same scheduler", params.scheduler)
    stage.p.is_hr_pass = True
    stage.call("before_hr", stage.p)
    larger = _enlarged(stage, batch, params, first)
    noise = batch_noise(stage, batch, (larger.shape[1], larger.shape[2], larger.shape[3]))
    hires = dataclasses.replace(
        batch, prompts=batch.hr_prompts, negative_prompts=batch.hr_negative_prompts
    )
    timeline = Timeline(
        prompt_steps(str(params.sampler_name), params.steps),
        prompt_steps(sampler, steps),
        batch.settings["use_old_scheduling"],
    )
    size = (larger.shape[3] * CELL, larger.shape[2] * CELL)
    encode = functools.partial(encode_batch, stage, hires, size, timeline)
    prompts = _changing_networks(batch, encode)
    fresh = noise.next()
    stage.call("process_before_every_sampling", stage.p, larger, fresh)
    stage.report.begin_pass("Hires fix", steps)
    start = start_from(stage, batch, larger, params.denoising_strength, fix_steps=True)
    cond = blank_cond(stage.pipeline, larger.shape)
    plan = dataclasses.replace(sample_plan(batch, sampler, schedule, steps), image_cond=cond)
    model = sampled_model(stage, batch)
    refined = run_pass(
        stage,
        batch,
        encode,
        lambda listeners: sample_from(
            plan, model, prompts, noise, listeners, start=start, first_noise=fresh
        ),
    )
    stage.p.is_hr_pass = False
    return larger if refined is None else refined


def _changing_networks(batch: Batch, encode: Callable[[], Prompts]) -> Prompts:
    """The second pass's prompts; behind it, its networks are worn.

    They are read with its own networks, or with those of the first pass
    (setting hires_fix_use_firstpass_conds).
    """
    if not batch.settings["hires_fix_use_firstpass_conds"]:
        batch.networks.begin_second_pass()
        return encode()
    prompts = encode()
    batch.networks.begin_second_pass()
    return prompts


def first_pass_picture(params: Txt2ImgParams) -> Image.Image:
    """The request's own first pass, RGB. Raises UnsupportedImage."""
    picture = decode_base64(str(params.firstpass_image), field="firstpass_image")
    return flatten(picture, "#ffffff")


def _enlarged(
    stage: Stage, batch: Batch, params: Txt2ImgParams, first: Tensor | Image.Image
) -> Tensor:
    """The first pass at the size of the second, as latent of the second pass's model."""
    count = len(batch.seeds)
    upscaler = str(params.hr_upscaler or "Latent")
    name = params.hr_checkpoint_name
    hires_checkpoint = None if name in (None, "", "Use same checkpoint") else name
    if upscaler in LATENT_UPSCALERS:
        if isinstance(first, Image.Image):
            first = stage.pipeline.encode_image(to_tensor([first])).repeat(count, 1, 1, 1)
        stage.put_to_work(hires_checkpoint)
        return enlarge_latent(first, params, upscaler)
    if isinstance(first, Image.Image):
        small = [first] * count
    else:
        small = to_images(stage.pipeline.decode(first))
    stage.put_to_work(hires_checkpoint)
    larger = enlarge_pictures(stage, small, params, upscaler, batch.settings)
    return _crop(stage.pipeline.encode_image(to_tensor(larger)), params)


def enlarge_latent(latent: Tensor, params: Txt2ImgParams, upscaler: str) -> Tensor:
    """Latent (B, C, h, w) at the size of the second pass, by interpolation."""
    mode, antialias = LATENT_UPSCALERS[upscaler]
    scaled, _ = hires_sizes(params)
    cells = (scaled[1] // CELL, scaled[0] // CELL)
    larger = torch.nn.functional.interpolate(latent, cells, mode=mode, antialias=antialias)
    return _crop(larger, params)


def enlarge_pictures(
    stage: Stage,
    pictures: list[Image.Image],
    params: Txt2ImgParams,
    upscaler: str,
    settings: SettingsView,
) -> list[Image.Image]:
    """The pictures scaled to cover the size of the second pass."""
    scaled, _ = hires_sizes(params)
    upscalers, report = stage.models.upscalers, stage.report
    return [upscale_in_job(one, upscaler, scaled, upscalers, report, settings) for one in pictures]


def _crop(latent: Tensor, params: Txt2ImgParams) -> Tensor:
    """The centre of `latent`; what is cut off is counted in cells."""
    scaled, final = hires_sizes(params)
    cut_x, cut_y = (scaled[0] - final[0]) // CELL, (scaled[1] - final[1]) // CELL
    height, width = latent.shape[2], latent.shape[3]
    rows = slice(cut_y // 2, height - (cut_y + 1) // 2)
    columns = slice(cut_x // 2, width - (cut_x + 1) // 2)
    return latent[:, :, rows, columns]


def _or_same(value: str | None, same: str, first: str | None) -> str:
    return str(first) if value in (None, "", same) else str(value)
