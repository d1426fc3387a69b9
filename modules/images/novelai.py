"""Pictures from NovelAI: their text chunks, told as an infotext."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

_SAMPLERS: Final = {
    "k_euler_ancestral": "Euler a",
    "k_euler": "Euler",
    "k_lms": "LMS",
    "k_heun": "Heun",
    "k_dpm_2": "DPM2",
    "k_dpm_2_ancestral": "DPM2 a",
    "k_dpm_fast": "DPM fast",
    "k_dpmpp_2s_ancestral": "DPM++ 2S a",
    "k_dpmpp_2m": "DPM++ 2M",
    "k_dpmpp_2m_sde": "DPM++ 2M SDE",
    "k_dpmpp_sde": "DPM++ SDE",
    "ddim": "DDIM",
    "ddim_v3": "DDIM",
    "plms": "PLMS",
}


def is_novelai(items: Mapping[str, str]) -> bool:
    """Whether these PNG texts are NovelAI's."""
    return items.get("Software") == "NovelAI" and "Comment" in items


def infotext(items: Mapping[str, str], size: tuple[int, int]) -> str:
    """The infotext that makes about the same picture; "" if the JSON in `Comment` is broken.

    size: (width, height) in pixels. NovelAI skips one CLIP layer and uses ENSD 31337.
    """
    try:
        settings = json.loads(items["Comment"])
    except ValueError:
        return ""
    if not isinstance(settings, dict):
        return ""
    parameters = {
        "Steps": settings.get("steps"),
        "Sampler": _SAMPLERS.get(str(settings.get("sampler")), "Euler a"),
        "CFG scale": settings.get("scale"),
        "Seed": settings.get("seed"),
        "Size": f"{size[0]}x{size[1]}",
        "Clip skip": 2,
        "ENSD": 31337,
    }
    line = ", ".join(f"{key}: {value}" for key, value in parameters.items() if value is not None)
    prompt = items.get("Description", "")
    negative = str(settings.get("uc") or "")
    lines = [prompt, f"Negative prompt: {negative}" if negative else "", line]
    return "\n".join(text for text in lines if text)
