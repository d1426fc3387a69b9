"""The last stages of a job: pixels, names, files, grids, and the `info` of the reply."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from modules.core.app import VERSION
from modules.core.errors import OutOfSpace
from modules.core.hooks import Hooks
from modules.core.paths import Paths
from modules.core.settings import SettingsView
from modules.images import NameFields, save_image, save_jpeg_copy
from modules.params.infotext import PictureFacts, write_infotext
from modules.params.request import Params, Request
from modules.processing.p import Processing

log = logging.getLogger(__name__)

SAMPLES_FOLDER = {"txt2img": "outdir_txt2img_samples", "img2img": "outdir_img2img_samples"}
GRIDS_FOLDER = {"txt2img": "outdir_txt2img_grids", "img2img": "outdir_img2img_grids"}
"""The settings that name the folder of each kind of job."""


@dataclass(slots=True)
class Picture:
    """What hooks see of one finished picture; `image` may be replaced."""

    image: Image.Image
    index: int


@dataclass(slots=True)
class ImageSaveParams:
    """What before_image_saved may change, and image_saved sees."""

    image: Image.Image
    p: Any
    filename: str
    pnginfo: dict[str, str]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The loaded model as pictures name it."""

    name: str
    hash: str | None
    vae_name: str | None = None
    vae_hash: str | None = None
    fp8: str | None = None
    """The setting fp8_storage, where its weights are kept in 8 bits."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the last stages need to know of the job."""

    request: Request
    settings: SettingsView
    paths: Paths
    hooks: Hooks
    p: Processing
    started: datetime
    warnings: list[str]
    """For the user; the same list that the sampling stages fill."""


def to_images(pictures: torch.Tensor) -> list[Image.Image]:
    """8-bit pictures of (B, 3, H, W) float in [0, 1]; truncated, as A1111 1.10 does."""
    levels = (pictures.float().clamp(0, 1) * 255.0).to("cpu", torch.uint8)
    return [Image.fromarray(np.ascontiguousarray(x.permute(1, 2, 0).numpy())) for x in levels]


def picture_infotext(
    job: Job, params: Params, model: ModelFacts, index: int, schedule: str, uses_ensd: bool
) -> str:
    """The infotext of picture `index` of the whole job."""
    p = job.p
    facts = PictureFacts(
        prompt=p.all_prompts[index],
        negative_prompt=p.all_negative_prompts[index],
        seed=p.all_seeds[index],
        subseed=p.all_subseeds[index],
        model_name=model.name,
        model_hash=model.hash,
        vae_name=model.vae_name,
        vae_hash=model.vae_hash,
        fp8=model.fp8,
        schedule=schedule,
        uses_ensd=uses_ensd,
        image_cfg_scale=getattr(params, "image_cfg_scale", None) if p.is_edit else None,
        mask_weight=job.settings["inpainting_mask_weight"]
        if p.is_using_inpainting_conditioning
        else None,
        init_image_hash=getattr(p, "init_img_hash", None),
        extra=p.extra_generation_params,
        version=f"easel-{VERSION}",
        user=job.request.user,
    )
    return write_infotext(params, facts, job.settings)


def save_picture(
    job: Job,
    params: Params,
    model: ModelFacts,
    image: Image.Image,
    index: int,
    text: str,
    *,
    suffix: str = "",
) -> Path:
    """Write one picture to the outputs folder and return its path; suffix: end of its name."""
    settings = job.settings
    folder = settings["outdir_samples"] or settings[SAMPLES_FOLDER[job.request.kind]]
    return _save(
        job,
        image,
        text,
        job.paths.output(folder),
        fields=_name_fields(job, params, model, index),
        pattern=settings["samples_filename_pattern"],
        directory_pattern=_directory(settings, "save_to_dirs"),
        format=settings["samples_format"],
        numbered=settings["save_images_add_number"],
        replace=settings["save_images_replace_action"] == "Replace",
        suffix=suffix,
    )


def save_init_image(job: Job, image: Image.Image, digest: str) -> None:
    """Write a picture that a job starts from, named by the hash of its pixels."""
    folder = job.paths.output(job.settings["outdir_init_images"])
    fields = NameFields(moment=job.started)
    try:
        save_image(image, folder, fields=fields, pattern=digest, numbered=False, source=None)
    except (OutOfSpace, OSError) as error:
        job.warnings.append(f"A picture to start from was not saved: {error}")


def save_grid(job: Job, params: Params, model: ModelFacts, grid: Image.Image, text: str) -> Path:
    """Write a grid to its folder and return its path."""
    settings = job.settings
    folder = settings["outdir_grids"] or settings[GRIDS_FOLDER[job.request.kind]]
    pattern = settings["samples_filename_pattern"] or "[seed]-[prompt_spaces]"
    return _save(
        job,
        grid,
        text,
        job.paths.output(folder),
        fields=_name_fields(job, params, model, 0),
        basename="grid",
        pattern=pattern if settings["grid_extended_filename"] else "",
        directory_pattern=_directory(settings, "grid_save_to_dirs"),
        format=settings["grid_format"],
    )


def _save(
    job: Job, image: Image.Image, text: str, folder: Path, *, fields: NameFields, **naming: Any
) -> Path:
    settings = job.settings
    params = ImageSaveParams(image, job.p, str(folder), {"parameters": text})
    job.warnings.extend(job.hooks.call("before_image_saved", params))
    infotext = params.pnginfo.get("parameters", "") if settings["enable_pnginfo"] else ""
    path = save_image(
        params.image,
        folder,
        fields=fields,
        infotext=infotext,
        quality=settings["jpeg_quality"],
        lossless=settings["webp_lossless"],
        text_file=settings["save_txt"],
        **naming,
    )
    if settings["export_for_4chan"]:
        _copy_large(job, params.image, path, infotext)
    params.filename = str(path)
    job.warnings.extend(job.hooks.call("image_saved", params))
    return path


def _copy_large(job: Job, image: Image.Image, path: Path, infotext: str) -> None:
    """Write a JPEG beside a file that is larger than the settings' limits."""
    settings = job.settings
    limit_bytes = settings["img_downscale_threshold"] * 2**20
    max_side = settings["target_side_length"]
    if path.suffix == ".jpg":
        return
    try:
        if path.stat().st_size > limit_bytes or max(image.size) > max_side:
            quality = settings["jpeg_quality"]
            save_jpeg_copy(image, path, max_side=max_side, infotext=infotext, quality=quality)
    except (OutOfSpace, OSError) as error:
        job.warnings.append(f"A JPEG copy of {path.name} was not saved: {error}")


def _directory(settings: SettingsView, switch: str) -> str:
    return str(settings["directories_filename_pattern"]) if settings[switch] else ""


def _name_fields(job: Job, params: Params, model: ModelFacts, index: int) -> NameFields:
    p = job.p
    return NameFields(
        moment=job.started,
        prompt=p.all_prompts[index],
        prompt_no_styles=params.prompt,
        negative_prompt=p.all_negative_prompts[index],
        seed=p.all_seeds[index],
        seed_first=p.all_seeds[0],
        seed_last=p.all_seeds[-1],
        steps=params.steps,
        cfg_scale=params.cfg_scale,
        styles=tuple(params.styles),
        sampler_name=params.sampler_name,
        scheduler=params.scheduler,
        model_hash=model.hash,
        model_name=model.name,
        vae_filename=model.vae_name,
        job_timestamp=job.started.strftime("%Y%m%d%H%M%S"),
        batch_number=index % params.batch_size + 1,
        batch_size=params.batch_size,
        generation_number=index + 1,
        image_count=params.n_iter * params.batch_size,
        clip_skip=job.settings["CLIP_stop_at_last_layers"],
        denoising_strength=params.denoising_strength,
        user=job.request.user or None,
        max_prompt_words=job.settings["directories_max_prompt_words"],
    )


def reply_info(
    job: Job, params: Params, model: ModelFacts, infotexts: list[str], grids: int
) -> dict[str, Any]:
    """A1111's `info` object of the REST reply."""
    p, settings = job.p, job.settings
    first = {"prompt": p.all_prompts, "negative_prompt": p.all_negative_prompts}
    return {
        "prompt": first["prompt"][0],
        "all_prompts": list(p.all_prompts),
        "negative_prompt": first["negative_prompt"][0],
        "all_negative_prompts": list(p.all_negative_prompts),
        "seed": p.all_seeds[0],
        "all_seeds": list(p.all_seeds),
        "subseed": p.all_subseeds[0],
        "all_subseeds": list(p.all_subseeds),
        "subseed_strength": params.subseed_strength,
        "width": params.width,
        "height": params.height,
        "sampler_name": params.sampler_name,
        "cfg_scale": params.cfg_scale,
        "steps": params.steps,
        "batch_size": params.batch_size,
        "restore_faces": bool(params.restore_faces),
        "face_restoration_model": None,
        "sd_model_name": model.name,
        "sd_model_hash": model.hash,
        "sd_vae_name": model.vae_name,
        "sd_vae_hash": model.vae_hash,
        "seed_resize_from_w": params.seed_resize_from_w,
        "seed_resize_from_h": params.seed_resize_from_h,
        "denoising_strength": params.denoising_strength,
        "extra_generation_params": dict(p.extra_generation_params),
        "index_of_first_image": grids,
        "infotexts": list(infotexts),
        "styles": list(params.styles),
        "job_timestamp": job.started.strftime("%Y%m%d%H%M%S"),
        "clip_skip": settings["CLIP_stop_at_last_layers"],
        "is_using_inpainting_conditioning": p.is_using_inpainting_conditioning,
        "version": f"easel-{VERSION}",
    }
