"""One batch from its frozen description to pictures: sampled by its kind, then decoded."""

from __future__ import annotations

from modules.params.img2img import Img2ImgParams
from modules.processing.canvas import Canvas
from modules.processing.image_cond import ImageInput, image_input
from modules.processing.img2img import from_pictures
from modules.processing.stage import Batch, Change, Made, Stage
from modules.processing.txt2img import Sampled, from_text
from modules.processing.vae_methods import VaeMethods


def make_batch(stage: Stage, batch: Batch, *changes: Change) -> Made | None:
    """The batch's pictures; None when stopped before there was anything.

    Every model that works on the batch carries `changes`.
    """
    stage.p.is_hr_pass = False
    kind = image_input(stage.pipeline)
    stage.p.is_using_inpainting_conditioning = kind is ImageInput.INPAINTING
    stage.p.is_edit = kind is ImageInput.EDIT
    with stage.working(*batch.changes, VaeMethods(stage, batch), *changes):
        sampled, canvases = _sampled(stage, batch)
        if sampled.latent is None:
            return None
        stage.call("post_sample", stage.p, sampled.latent)
        pictures = stage.pipeline.decode(sampled.latent)
        return Made(pictures, canvases, sampled.first_pass)


def _sampled(stage: Stage, batch: Batch) -> tuple[Sampled, tuple[Canvas, ...]]:
    params = batch.params
    if isinstance(params, Img2ImgParams):
        latent, canvases = from_pictures(stage, batch, params)
        return Sampled(latent), canvases
    return from_text(stage, batch, params), ()
