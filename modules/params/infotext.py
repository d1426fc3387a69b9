"""Parameters as the text inside pictures, and back: A1111's infotext, both ways.

The words' quoting and parsing stand in `infotext_text`; here stands which parameter has which
name and place. Order and names: A1111 1.10 behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modules.core.settings import SettingsView
from modules.core.settings_table import SETTINGS
from modules.params import infotext_text
from modules.params.face import parameters
from modules.params.generation import Txt2ImgParams


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
    schedule: str | None = None
    """The schedule's label; the sampler's own where the request says Automatic."""
    uses_ensd: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further names and values, in order."""
    version: str | None = None
    user: str | None = None


def write_infotext(params: Txt2ImgParams, facts: PictureFacts, settings: SettingsView) -> str:
    """The text of one picture."""
    pairs = {**_own_pairs(params, facts, settings), **facts.extra}
    if settings["add_version_to_infotext"]:
        pairs["Version"] = facts.version
    if settings["add_user_name_to_info"]:
        pairs["User"] = facts.user or None
    return infotext_text.write(facts.prompt, facts.negative_prompt, pairs)


def _own_pairs(
    params: Txt2ImgParams, facts: PictureFacts, settings: SettingsView
) -> dict[str, Any]:
    has_variation = params.subseed_strength != 0
    resize = (params.seed_resize_from_w, params.seed_resize_from_h)
    clip_skip, ensd = settings["CLIP_stop_at_last_layers"], settings["eta_noise_seed_delta"]
    return {
        "Steps": params.steps,
        "Sampler": params.sampler_name,
        "Schedule type": facts.schedule or params.scheduler,
        "CFG scale": params.cfg_scale,
        "Seed": facts.seed,
        "Size": f"{params.width}x{params.height}",
        "Model hash": facts.model_hash if settings["add_model_hash_to_info"] else None,
        "Model": facts.model_name if settings["add_model_name_to_info"] else None,
        "VAE hash": facts.vae_hash if settings["add_vae_hash_to_info"] else None,
        "VAE": facts.vae_name if settings["add_vae_name_to_info"] else None,
        "Variation seed": facts.subseed if has_variation else None,
        "Variation seed strength": params.subseed_strength if has_variation else None,
        "Seed resize from": f"{resize[0]}x{resize[1]}" if min(resize) > 0 else None,
        "Denoising strength": params.denoising_strength if params.enable_hr else None,
        "Clip skip": clip_skip if clip_skip > 1 else None,
        "ENSD": ensd if ensd and facts.uses_ensd else None,
        "RNG": settings["randn_source"] if settings["randn_source"] != "GPU" else None,
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


@dataclass(frozen=True, slots=True)
class ReadParameters:
    """What an infotext says, in our names."""

    params: dict[str, Any]
    """By REST name, typed as the parameter classes want; only what the text says."""
    overrides: dict[str, Any]
    """Settings that the text says, by key; the checkpoint is among them as its hash or name."""
    rest: dict[str, str]
    """What has no place here, as it stood."""


def read_infotext(text: str) -> ReadParameters:
    """Parameters and settings of an infotext, with A1111's meaning of what it leaves out.

    Never raises; what has no parameter or setting stays in `rest`.
    """
    stated = infotext_text.parse(text)
    found = _read_params(stated)
    overrides = _read_settings(stated)
    model = stated.get("Model hash") or stated.get("Model")
    if model:
        overrides["sd_model_checkpoint"] = str(model)
    known = _param_names() | _setting_names().keys() | _SPECIAL
    known |= infotext_text.DEFAULTS.keys()
    rest = {name: str(value) for name, value in stated.items() if name not in known}
    return ReadParameters(found, overrides, rest)


_SPECIAL = frozenset(
    ("Prompt", "Size-1", "Size-2", "Seed resize from-1", "Seed resize from-2", "Model",
     "Model hash", "Version", "User")
)  # fmt: skip

_SIZES = {
    "Size-1": "width",
    "Size-2": "height",
    "Seed resize from-1": "seed_resize_from_w",
    "Seed resize from-2": "seed_resize_from_h",
    "Prompt": "prompt",
}


def _param_names() -> set[str]:
    return {p.face.infotext for p in parameters(Txt2ImgParams) if p.face.infotext}


def _setting_names() -> dict[str, str]:
    return {row.infotext: row.key for row in SETTINGS if row.infotext}


def _read_params(stated: Mapping[str, Any]) -> dict[str, Any]:
    names = {p.face.infotext: p.name for p in parameters(Txt2ImgParams) if p.face.infotext}
    found: dict[str, Any] = {}
    for infotext_name, name in {**names, **_SIZES}.items():
        if infotext_name in stated:
            _take(found, name, stated[infotext_name])
    found["enable_hr"] = "Hires upscaler" in stated or "Hires upscale" in stated
    return found


def _take(found: dict[str, Any], name: str, value: Any) -> None:
    """Store the value in its parameter's type, if it is one."""
    try:
        model = Txt2ImgParams.model_validate({name: value})
    except ValueError:
        return
    found[name] = getattr(model, name)


def _read_settings(stated: Mapping[str, Any]) -> dict[str, Any]:
    rows = {row.key: row for row in SETTINGS}
    found: dict[str, Any] = {}
    for infotext_name, key in _setting_names().items():
        if infotext_name not in stated:
            continue
        value, default = stated[infotext_name], rows[key].default
        try:
            if isinstance(default, bool):
                found[key] = str(value).lower() == "true"
            elif isinstance(default, int | float):
                found[key] = type(default)(value)
            else:
                found[key] = value
        except ValueError:
            continue
    return found
