"""One batch of txt2img: encode the prompts, sample, refine in a second pass."""

from __future__ import annotations

import dataclasses
import functools

from PIL import Image
from torch import Tensor

from modules.params.generation import Txt2ImgParams
from modules.pipelines.base import Pipeline
from modules.processing.conditioning import Timeline
from modules.processing.finish import to_images
from modules.processing.hires import first_pass_picture, second_pass
from modules.processing.image_cond import blank_cond
from modules.processing.passes import (
    batch_noise,
    encode_batch,
    run_pass,
    sample_plan,
    sampled_model,
)
from modules.processing.stage import CELL, Batch, Stage
from modules.sampling.run import prompt_steps, sample


@dataclasses.dataclass(frozen=True, slots=True)
class Sampled:
    """What a batch's passes came to."""

    latent: Tensor | None
    """(B, C, h, w) of the last pass; None when stopped before there was anything."""
    first_pass: tuple[Image.Image, ...] = ()
    """The first pass's pictures, where a second one followed and they are to be saved."""


def from_text(stage: Stage, batch: Batch, params: Txt2ImgParams) -> Sampled:
    """The batch through its first pass, and through the second where hires fix asks for it."""
    if params.enable_hr and params.firstpass_image:
        return Sampled(second_pass(stage, batch, params, first_pass_picture(params)))
    latent = _first_pass(stage, batch, params)
    if latent is None or stage.interrupted or not params.enable_hr:
        return Sampled(latent)
    kept: list[Image.Image] = []
    if stage.saves and batch.settings["save_images_before_highres_fix"]:
        kept = to_images(stage.pipeline.decode(latent))
    return Sampled(second_pass(stage, batch, params, latent), tuple(kept))


def _first_pass(stage: Stage, batch: Batch, params: Txt2ImgParams) -> Tensor | None:
    noise = batch_noise(stage, batch, latent_shape(stage.pipeline, params.width, params.height))
    sampler = str(params.sampler_name)
    timeline = Timeline(
        prompt_steps(sampler, params.steps), None, batch.settings["use_old_scheduling"]
    )
    encode = functools.partial(encode_batch, stage, batch, batch.size, timeline)
    prompts = encode()
    first = noise.next()
    stage.call("process_before_every_sampling", stage.p, first, first)
    stage.report.begin_pass("Sampling", params.steps)
    plan = sample_plan(batch, sampler, params.scheduler, params.steps)
    plan = dataclasses.replace(plan, image_cond=blank_cond(stage.pipeline, first.shape))
    model = sampled_model(stage, batch)
    return run_pass(
        stage,
        batch,
        encode,
        lambda listeners: sample(plan, model, prompts, noise, listeners, first_noise=first),
    )


def latent_shape(pipeline: Pipeline, width: int, height: int) -> tuple[int, int, int]:
    """(C, h, w) of a picture's latent; what does not fill a cell is cut off."""
    return (pipeline.spec.latent_channels, height // CELL, width // CELL)
