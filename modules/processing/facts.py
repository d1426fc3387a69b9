"""What an infotext says beyond the parameters: which settings really changed this picture.

A setting is named only where it differs from its default and reaches the sampler, schedule or
prompt of this job. A1111 1.10 behaviour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from modules.core.settings import SettingsView, known_settings
from modules.core.settings_table import SETTINGS
from modules.params.generation import GenerationParams, Txt2ImgParams
from modules.params.img2img import Img2ImgParams
from modules.params.infotext import hires_pairs
from modules.pipelines.tiled_attention import TileOptions
from modules.prompt import parse_schedule
from modules.sampling.table import SamplerRow, find_sampler, scheduler_for

NAMES = {row.key: row.infotext for row in SETTINGS if row.infotext}


def schedule_label(params: GenerationParams) -> str:
    """The schedule as infotexts name it: the sampler's own where Automatic was asked for."""
    return scheduler_for(find_sampler(str(params.sampler_name)), params.scheduler).label


def hypertile_pairs(settings: SettingsView) -> dict[str, Any]:
    """The settings of tiled attention that differ from their defaults, in use or not."""
    defaults = known_settings()
    return {
        name: settings[key]
        for key, name in NAMES.items()
        if name and key.startswith("hypertile_") and settings[key] != defaults[key]
    }


def attention_tiles(
    settings: SettingsView, part: Literal["unet", "vae"], *, is_hires: bool = False
) -> TileOptions | None:
    """How attention is cut up in a pass (setting hypertile_enable_…), None: not at all."""
    if part == "vae":
        is_on = settings["hypertile_enable_vae"]
        keys = ("hypertile_max_tile_vae", "hypertile_max_depth_vae", "hypertile_swap_size_vae")
    else:
        is_on = settings["hypertile_enable_unet"]
        is_on = is_on or (is_hires and settings["hypertile_enable_unet_secondpass"])
        keys = ("hypertile_max_tile_unet", "hypertile_max_depth_unet", "hypertile_swap_size_unet")
    return TileOptions(*(settings[key] for key in keys)) if is_on else None


def extra_noise_pairs(settings: SettingsView) -> dict[str, Any]:
    """The noise that is added to a picture before it is painted over, where there is any."""
    extra = settings["img2img_extra_noise"]
    return {"Extra noise": extra} if extra > 0 else {}


def second_pass_pairs(params: GenerationParams, settings: SettingsView) -> dict[str, Any]:
    """What hires fix did; nothing without it."""
    if not (isinstance(params, Txt2ImgParams) and params.enable_hr):
        return {}
    return hires_pairs(params) | extra_noise_pairs(settings)


def prompt_pairs(
    params: GenerationParams, settings: SettingsView, texts: Sequence[str]
) -> dict[str, Any]:
    """What changed how the prompts were read."""
    pairs: dict[str, Any] = {}
    if settings["emphasis"] != "Original":
        pairs["Emphasis"] = settings["emphasis"]
    if settings["use_old_scheduling"] and any(
        parse_schedule(text, params.steps, None, True) != parse_schedule(text, params.steps)
        for text in texts
    ):
        pairs["Old prompt editing timelines"] = True
    return pairs


def guidance_pairs(params: GenerationParams, settings: SettingsView) -> dict[str, Any]:
    """What changed the sampler, its schedule and the guidance."""
    row = find_sampler(str(params.sampler_name))
    keys = [*_MODEL_KEYS, *_schedule_keys(row, params), *_sampler_keys(row), *_GUIDANCE_KEYS]
    defaults = known_settings()
    pairs = {}
    for key in keys:
        value = settings[key]
        if key in ("eta_ancestral", "eta_ddim") and params.eta is not None:
            value = params.eta
        if value != defaults[key] or key in _ALWAYS_NAMED:
            pairs[str(NAMES[key])] = value
    return pairs


def effect_pairs(params: GenerationParams, settings: SettingsView, effect: str) -> dict[str, Any]:
    """What a setting changed that acts under conditions only, once it has acted."""
    own = getattr(params, effect, None)
    pairs = {NAMES[effect]: settings[effect] if own is None else own}
    if effect == "s_min_uncond" and settings["s_min_uncond_all"]:
        pairs[NAMES["s_min_uncond_all"]] = True
    return {str(name): value for name, value in pairs.items()}


def token_merging_ratio(
    params: GenerationParams, settings: SettingsView, *, is_hires: bool
) -> float:
    """Share of tokens merged in a pass; img2img and the second pass may have their own."""
    own = 0.0
    if is_hires:
        own = settings["token_merging_ratio_hr"]
    elif isinstance(params, Img2ImgParams):
        own = settings["token_merging_ratio_img2img"]
    return float(own or settings["token_merging_ratio"])


_MODEL_KEYS = ("use_downcasted_alpha_bar", "sd_noise_schedule")
_GUIDANCE_KEYS = ("refiner_switch_by_sample_steps",)
_ALWAYS_NAMED = ("beta_dist_alpha", "beta_dist_beta")
"""Where they are in use."""


def _schedule_keys(row: SamplerRow, params: GenerationParams) -> list[str]:
    keys = [] if row.discards_next_to_last_sigma else ["always_discard_next_to_last_sigma"]
    schedule = scheduler_for(row, params.scheduler)
    if row.levels == "timesteps" or schedule.function is None:
        return keys
    keys += ["sigma_min", "sigma_max"]
    if schedule.default_rho != -1:
        keys.append("rho")
    if schedule.name == "beta":
        keys += _ALWAYS_NAMED
    return keys


def _sampler_keys(row: SamplerRow) -> list[str]:
    keys = [] if row.levels == "timesteps" else ["sgm_noise_multiplier"]
    if row.uses_eta:
        keys.append("eta_ddim" if row.levels == "timesteps" else "eta_ancestral")
    if row.uses_churn:
        keys += ["s_churn", "s_tmin", "s_tmax"]
    if row.uses_s_noise:
        keys.append("s_noise")
    return keys
