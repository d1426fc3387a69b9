"""Parameters as the text inside pictures: A1111's infotext, written.

The quoting of words stands in `infotext_text`, reading in `infotext_read`; here stands which
parameter has which name and place. Order and names: A1111 1.10 behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modules.core.settings import SettingsView
from modules.params import infotext_text
from modules.params.generation import GenerationParams, Txt2ImgParams
from modules.params.img2img import Img2ImgParams


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What the text says about one picture beyond the request's parameters."""

    prompt: str
    negative_prompt: str
    seed: int
    subseed: int
    model_name: str | None = None
    model_hash: str | None = None
    vae_name: str | None = None
    vae_hash: str | None = None
    fp8: str | None = None
    """The setting fp8_storage, where the model's weights are kept in 8 bits."""
    schedule: str | None = None
    """The schedule's label; the sampler's own where the request says Automatic."""
    uses_ensd: bool = False
    image_cfg_scale: float | None = None
    """None but for instruct-pix2pix."""
    mask_weight: float | None = None
    """None but for inpainting models."""
    init_image_hash: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further names and values, in order."""
    version: str | None = None
    user: str | None = None


def write_infotext(params: GenerationParams, facts: PictureFacts, settings: SettingsView) -> str:
    """The text of one picture."""
    pairs = {**_own_pairs(params, facts, settings), **facts.extra}
    if settings["add_version_to_infotext"]:
        pairs["Version"] = facts.version
    if settings["add_user_name_to_info"]:
        pairs["User"] = facts.user or None
    return infotext_text.write(facts.prompt, facts.negative_prompt, pairs)


def _own_pairs(
    params: GenerationParams, facts: PictureFacts, settings: SettingsView
) -> dict[str, Any]:
    has_variation = params.subseed_strength != 0
    resize = (params.seed_resize_from_w, params.seed_resize_from_h)
    clip_skip, ensd = settings["CLIP_stop_at_last_layers"], settings["eta_noise_seed_delta"]
    has_second_pass = isinstance(params, Txt2ImgParams) and params.enable_hr
    is_img2img = isinstance(params, Img2ImgParams)
    merging_hr = settings["token_merging_ratio_hr"] or settings["token_merging_ratio"]
    merging = settings["token_merging_ratio"]
    if is_img2img:
        merging = settings["token_merging_ratio_img2img"] or merging
    is_tiling = settings["tiling"] if params.tiling is None else params.tiling
    return {
        "Steps": params.steps,
        "Sampler": params.sampler_name,
        "Schedule type": facts.schedule or params.scheduler,
        "CFG scale": params.cfg_scale,
        "Image CFG scale": facts.image_cfg_scale,
        "Seed": facts.seed,
        "Size": f"{params.width}x{params.height}",
        "Model hash": facts.model_hash if settings["add_model_hash_to_info"] else None,
        "Model": facts.model_name if settings["add_model_name_to_info"] else None,
        "FP8 weight": facts.fp8,
        "VAE hash": facts.vae_hash if settings["add_vae_hash_to_info"] else None,
        "VAE": facts.vae_name if settings["add_vae_name_to_info"] else None,
        "Variation seed": facts.subseed if has_variation else None,
        "Variation seed strength": params.subseed_strength if has_variation else None,
        "Seed resize from": f"{resize[0]}x{resize[1]}" if min(resize) > 0 else None,
        "Denoising strength": params.denoising_strength if is_img2img or has_second_pass else None,
        "Conditional mask weight": facts.mask_weight,
        "Clip skip": clip_skip if clip_skip > 1 else None,
        "ENSD": ensd if ensd and facts.uses_ensd else None,
        "Token merging ratio": merging or None,
        "Token merging ratio hr": (merging_hr or None) if has_second_pass else None,
        "Init image hash": facts.init_image_hash,
        "RNG": settings["randn_source"] if settings["randn_source"] != "GPU" else None,
        "Tiling": True if is_tiling else None,
    }


def hires_pairs(params: Txt2ImgParams) -> dict[str, Any]:
    """Names and values of the second pass, in A1111's order; empty without one."""
    if not params.enable_hr:
        return {}
    by_size = params.hr_resize_x or params.hr_resize_y
    other = {
        "Hires checkpoint": _unless(params.hr_checkpoint_name, "Use same checkpoint"),
        "Hires sampler": _unless(params.hr_sampler_name, "Use same sampler", params.sampler_name),
        "Hires prompt": _unless(params.hr_prompt, params.prompt),
        "Hires negative prompt": _unless(params.hr_negative_prompt, params.negative_prompt),
        "Hires schedule type": _unless(params.hr_scheduler, "Use same scheduler", params.scheduler),
        "Hires upscale": None if by_size else params.hr_scale,
        "Hires resize": f"{params.hr_resize_x}x{params.hr_resize_y}" if by_size else None,
        "Hires steps": params.hr_second_pass_steps or None,
        "Hires upscaler": params.hr_upscaler,
    }
    return {name: value for name, value in other.items() if value}


def _unless(value: str | None, *same: str | None) -> str | None:
    return None if not value or value in same else value
