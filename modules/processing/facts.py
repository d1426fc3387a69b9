"""What an infotext says beyond the parameters: which settings really changed this picture.

A setting is named only where it differs from its default and reaches the sampler, schedule or
prompt of this job. A1111 1.10 behaviour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modules.core.settings import SettingsView, known_settings
from modules.core.settings_table import SETTINGS
from modules.params.generation import Txt2ImgParams
from modules.prompt import parse_schedule
from modules.sampling.table import SamplerRow, find_sampler, scheduler_for

NAMES = {row.key: row.infotext for row in SETTINGS if row.infotext}


def schedule_label(params: Txt2ImgParams) -> str:
    """The schedule as infotexts name it: the sampler's own where Automatic was asked for."""
    return scheduler_for(find_sampler(str(params.sampler_name)), params.scheduler).label


def prompt_pairs(
    params: Txt2ImgParams, settings: SettingsView, texts: Sequence[str]
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


def guidance_pairs(params: Txt2ImgParams, settings: SettingsView) -> dict[str, Any]:
    """What changed the sampler, its schedule and the guidance."""
    row = find_sampler(str(params.sampler_name))
    pairs = {NAMES[key]: value for key, value in _used(row, params, settings) if key in NAMES}
    if scheduler_for(row, params.scheduler).name == "beta":
        pairs["Beta schedule alpha"] = settings["beta_dist_alpha"]
        pairs["Beta schedule beta"] = settings["beta_dist_beta"]
    return {str(name): value for name, value in pairs.items()}


def _used(row: SamplerRow, params: Txt2ImgParams, settings: SettingsView) -> list[tuple[str, Any]]:
    """(key, value) of settings that differ from their default and reach this sampler."""
    defaults = known_settings()
    keys = [*_schedule_keys(row, params), *_sampler_keys(row), *_guidance_keys(settings)]
    found = []
    for key in keys:
        value = settings[key]
        if key in ("eta_ancestral", "eta_ddim") and params.eta is not None:
            value = params.eta
        if key == "s_min_uncond" and params.s_min_uncond is not None:
            value = params.s_min_uncond
        if value != defaults[key]:
            found.append((key, value))
    return found


def _schedule_keys(row: SamplerRow, params: Txt2ImgParams) -> list[str]:
    schedule = scheduler_for(row, params.scheduler)
    if row.levels == "timesteps" or schedule.function is None:
        return []
    keys = ["sigma_min", "sigma_max"]
    if schedule.default_rho != -1:
        keys.append("rho")
    if not row.discards_next_to_last_sigma:
        keys.append("always_discard_next_to_last_sigma")
    return keys


def _sampler_keys(row: SamplerRow) -> list[str]:
    keys = []
    if row.uses_eta:
        keys.append("eta_ddim" if row.levels == "timesteps" else "eta_ancestral")
    if row.uses_churn:
        keys += ["s_churn", "s_tmin", "s_tmax"]
    if row.uses_s_noise:
        keys.append("s_noise")
    if row.levels != "timesteps":
        keys.append("sgm_noise_multiplier")
    return keys


def _guidance_keys(settings: SettingsView) -> list[str]:
    keys = ["s_min_uncond", "skip_early_cond", "pad_cond_uncond", "pad_cond_uncond_v0",
            "sd_noise_schedule", "use_downcasted_alpha_bar"]  # fmt: skip
    if settings["s_min_uncond"]:
        keys.append("s_min_uncond_all")
    return keys
