"""The picture side of an img2img batch: its canvases before, its composites after sampling."""

from __future__ import annotations

import dataclasses
import hashlib

from PIL import Image

from modules.images import flatten
from modules.params.img2img import Img2ImgParams
from modules.params.soft_inpaint import read_soft_inpaint
from modules.processing.canvas import Canvas, canvas_pairs, make_canvases
from modules.processing.composite import Composite, MaskOverlayArgs, compose
from modules.processing.facts import extra_noise_pairs
from modules.processing.finish import Job, Picture, save_init_image
from modules.processing.p import StableDiffusionProcessingImg2Img
from modules.processing.stage import Batch, Stage
from modules.processing.upscaling import enlarger


def with_canvases(job: Job, stage: Stage, batch: Batch, params: Img2ImgParams) -> Batch:
    """The batch with a canvas for each picture, noted in the infotext. Raises BadInput."""
    p, settings = job.p, job.settings
    assert isinstance(p, StableDiffusionProcessingImg2Img)
    sources = p.sources()
    if settings["save_init_img"]:
        p.init_img_hash = [_kept_init_image(job, image) for image in sources.images][-1]
    soft = read_soft_inpaint(job.request.alwayson_scripts) if sources.mask else None
    if soft:
        params = params.model_copy(update={"mask_round": False})
    made = make_canvases(params, settings, sources, enlarger(stage, settings))
    if sources.mask and params.inpaint_full_res and not all(canvas.mask for canvas in made):
        job.warnings.append("The mask is blank: the whole picture was changed.")
    multiplier = params.initial_noise_multiplier
    if multiplier is None:
        multiplier = settings["initial_noise_multiplier"]
    pairs = {
        **(soft.pairs() if soft else {}),
        **canvas_pairs(params, made, has_mask=sources.mask is not None),
        **({"Noise multiplier": multiplier} if multiplier != 1 else {}),
        **extra_noise_pairs(settings),
    }
    for name, value in pairs.items():
        p.extra_generation_params.setdefault(name, value)
    canvases = made * len(batch.seeds) if len(made) == 1 else made
    p.show(canvases)
    return dataclasses.replace(batch, params=params, canvases=canvases, soft=soft)


def composed(stage: Stage, batch: Batch, canvas: Canvas, place: int, picture: Picture) -> Composite:
    """The finished picture at `place` of its batch, put into `picture` too; hooks have had it."""
    overlay = canvas.overlay if batch.settings["overlay_inpaint"] else None
    args = MaskOverlayArgs(place, canvas.overlay_mask, overlay)
    stage.call("postprocess_maskoverlay", stage.p, args)
    composite = compose(picture.image, canvas, args)
    picture.image = composite.image
    stage.call("postprocess_image_after_composite", stage.p, picture)
    return composite


def _kept_init_image(job: Job, image: Image.Image) -> str:
    """Save a picture to start from under the hash of its pixels, and return that."""
    digest = hashlib.md5(image.tobytes(), usedforsecurity=False).hexdigest()
    if job.p.iteration == 0:
        save_init_image(job, flatten(image, job.settings["img2img_background_color"]), digest)
    return digest
