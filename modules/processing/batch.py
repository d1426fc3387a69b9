"""One batch from its frozen description to pictures: sampled by its kind, then decoded."""

from __future__ import annotations

from torch import Tensor

from modules.params.img2img import Img2ImgParams
from modules.processing.canvas import Canvas
from modules.processing.image_cond import ImageInput, image_input
from modules.processing.img2img import from_pictures
from modules.processing.stage import Batch, Change, Made, Stage
from modules.processing.txt2img import from_text


def make_batch(stage: Stage, batch: Batch, *changes: Change) -> Made | None:
    """The batch's pictures; None when stopped before there was anything.

    Every model that works on the batch carries `changes`.
    """
    stage.p.is_hr_pass = False
    kind = image_input(stage.pipeline)
    stage.p.is_using_inpainting_conditioning = kind is ImageInput.INPAINTING
    stage.p.is_edit = kind is ImageInput.EDIT
    with stage.working(*batch.changes, *changes):
        latent, canvases = _sampled(stage, batch)
        if latent is None:
            return None
        stage.call("post_sample", stage.p, latent)
        return Made(stage.pipeline.decode(latent), canvases)


def _sampled(stage: Stage, batch: Batch) -> tuple[Tensor | None, tuple[Canvas, ...]]:
    params = batch.params
    if isinstance(params, Img2ImgParams):
        return from_pictures(stage, batch, params)
    return from_text(stage, batch, params), ()
