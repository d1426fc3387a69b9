"""Names of samplers and schedules elsewhere, and A1111's for the same thing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from modules.params.foreign.found import Foreign, as_text

SAMPLERS: Final[Mapping[str, str]] = {
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "euler_a": "Euler a",
    "heun": "Heun",
    "lms": "LMS",
    "dpm_2": "DPM2",
    "dpm2": "DPM2",
    "kdpm_2": "DPM2",
    "dpm_2_ancestral": "DPM2 a",
    "dpm_2_a": "DPM2 a",
    "dpm2_a": "DPM2 a",
    "kdpm_2_a": "DPM2 a",
    "dpm_fast": "DPM fast",
    "dpm_adaptive": "DPM adaptive",
    "dpmpp_2s_ancestral": "DPM++ 2S a",
    "dpmpp_2s_a": "DPM++ 2S a",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
    "restart": "Restart",
    "ddim": "DDIM",
    "ddim_v3": "DDIM",
    "plms": "PLMS",
    "uni_pc": "UniPC",
    "unipc": "UniPC",
    "uni_pc_bh2": "UniPC",
    "lcm": "LCM",
}
"""By the name in k-diffusion, ComfyUI and InvokeAI, in lower case and without "k_" and "_gpu"."""

SCHEDULES: Final[Mapping[str, str]] = {
    "automatic": "Automatic",
    "normal": "Normal",
    "karras": "Karras",
    "exponential": "Exponential",
    "polyexponential": "Polyexponential",
    "sgm_uniform": "SGM Uniform",
    "simple": "Simple",
    "ddim_uniform": "DDIM",
    "ddim": "DDIM",
    "beta": "Beta",
    "kl_optimal": "KL Optimal",
    "align_your_steps": "Align Your Steps",
    "native": "Uniform",
    "uniform": "Uniform",
}


def put_sampler(found: Foreign, sampler: Any, schedule: Any, *, prefix: str = "") -> None:
    """Note sampler and schedule in `found`; what A1111 has no name for is missed in words.

    prefix: "Hires " for those of the second pass.
    """
    keys = ("Sampler", "Schedule type") if not prefix else ("Hires sampler", "Hires schedule type")
    said = as_text(sampler)
    name = SAMPLERS.get(plain_name(said))
    if name:
        found.pairs[keys[0]] = name
    elif said:
        found.miss(f"sampler {said}")
    if plain_name(said) == "uni_pc_bh2" and not prefix:
        found.pairs["UniPC variant"] = "bh2"
    said = as_text(schedule)
    label = SCHEDULES.get(plain_name(said))
    if label:
        found.pairs[keys[1]] = label
    elif said:
        found.miss(f"schedule {said}")


def plain_name(name: str) -> str:
    """A name as the tables have it.

    >>> plain_name("k_euler_ancestral"), plain_name("dpmpp_2m_sde_gpu"), plain_name("DPM++ 2M")
    ('euler_ancestral', 'dpmpp_2m_sde', 'dpmpp_2m')
    """
    name = name.strip().lower().replace("++", "pp").replace("pp ", "pp_")
    name = re.sub(r"[\s-]+", "_", name)
    return name.removeprefix("k_").removesuffix("_gpu")
