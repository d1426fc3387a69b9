"""What the same key meant elsewhere: infotexts of older A1111s and of its relatives, made present.

Knows versions and keys; must not know parameters nor settings. Facts: A1111's public changelog,
and infotexts of Forge, SD.Next, SwarmUI and civitai.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

from modules.params.infotext_text import Fields

SCHEDULES: Final[Mapping[str, str]] = {
    "karras": "Karras",
    "exponential": "Exponential",
    "polyexponential": "Polyexponential",
    "sgm uniform": "SGM Uniform",
    "sgmuniform": "SGM Uniform",
    "uniform": "Uniform",
    "simple": "Simple",
    "normal": "Normal",
    "beta": "Beta",
    "kl optimal": "KL Optimal",
    "align your steps": "Align Your Steps",
}
"""Ends of old sampler names, in lower case, and the schedule that they meant."""

AUTOMATIC_NOW: Final = frozenset(
    ("DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE",
     "DPM2", "DPM2 a")
)  # fmt: skip
"""Samplers to which Automatic gives a schedule of their own; until 1.9 their names meant none."""

SCHEDULE_TYPE_SINCE: Final = (1, 9, 0)
TIMESTEP_SAMPLERS: Final = frozenset(("DDIM", "DDIM CFG++", "PLMS"))
FIRST_PASS_PIXELS: Final = 512 * 512
"""What "First pass size: 0x0" aimed at (A1111 before 2023)."""

ALIASES: Final[Mapping[str, str]] = {
    "beta scheduler alpha": "Beta schedule alpha",
    "beta scheduler beta": "Beta schedule beta",
    "cfg": "CFG scale",
    "guidance": "CFG scale",
    "hires upscale by": "Hires upscale",
    "scheduler": "Schedule type",
    "vae model": "VAE",
}
"""Keys of other programs, in lower case."""

_SCHEDULE_END: Final = re.compile(
    rf"(.+?)[ _]({'|'.join(sorted(SCHEDULES, key=len, reverse=True))})", re.IGNORECASE
)
_BASE_VERSION: Final = re.compile(r"v(\d{1,6})\.(\d{1,6})\.(\d{1,6})")


def modernise(fields: Fields, known: Iterable[str], *, has_backcompat: bool = True) -> list[str]:
    """Give `fields`, as they stand in the text, the keys and values of today.

    known: keys that are right as they are; others are matched to them without regard to case.
    has_backcompat: also undo what versions changed (setting auto_backcompat). Returns sentences
    about what was changed in meaning, for the user.
    """
    _rename(fields, known)
    _split_samplers(fields)
    told = _first_pass(fields)
    if fields.get("Sampler") in TIMESTEP_SAMPLERS and "Eta" in fields:
        fields.setdefault("Eta DDIM", fields.pop("Eta"))
    if has_backcompat:
        told += _plain_schedule(fields)
    return told


def base_version(text: str) -> tuple[int, int, int] | None:
    """The A1111 version that a picture's program is, or was made from.

    >>> base_version("v1.7.0-225-gabcdef0"), base_version("f0.0.17v1.8.0rc-latest-276")
    ((1, 7, 0), (1, 8, 0))
    >>> base_version("ComfyUI")
    """
    match = _BASE_VERSION.search(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def split_sampler(name: str) -> tuple[str, str | None]:
    """Sampler and schedule of a name from before they were two things.

    >>> split_sampler("DPM++ 2M SDE Karras"), split_sampler("Euler a"), split_sampler("DPM++ SDE")
    (('DPM++ 2M SDE', 'Karras'), ('Euler a', None), ('DPM++ SDE', None))
    """
    match = _SCHEDULE_END.fullmatch(name.strip())
    return (match[1], SCHEDULES[match[2].lower()]) if match else (name.strip(), None)


def _rename(fields: Fields, known: Iterable[str]) -> None:
    right = {name.lower(): name for name in known}
    for key in list(fields):
        name = ALIASES.get(key.lower()) or right.get(key.lower())
        if name and name != key and name not in fields:
            fields[name] = fields.pop(key)


def _split_samplers(fields: Fields) -> None:
    for sampler, schedule in (
        ("Sampler", "Schedule type"),
        ("Hires sampler", "Hires schedule type"),
    ):
        if sampler not in fields:
            continue
        name, found = split_sampler(str(fields[sampler]))
        fields[sampler] = name
        if found and fields.get(schedule, "Automatic") == "Automatic":
            fields[schedule] = found


def _first_pass(fields: Fields) -> list[str]:
    """ "First pass size" is how hires fix was told before 2023: Size was the size of the result."""
    keys = ("First pass size-1", "First pass size-2", "Size-1", "Size-2")
    try:
        first_x, first_y, width, height = (int(fields[key]) for key in keys)
    except (KeyError, ValueError):
        return []
    if min(width, height) < 1 or min(first_x, first_y) < 0:
        return []
    if not first_x or not first_y:
        scale = math.sqrt(FIRST_PASS_PIXELS / (width * height))
        first_x, first_y = (math.ceil(scale * side / 64) * 64 for side in (width, height))
    for key in keys[:2]:
        del fields[key]
    fields["Size-1"], fields["Size-2"] = str(first_x), str(first_y)
    fields["Hires resize-1"], fields["Hires resize-2"] = str(width), str(height)
    fields.setdefault("Hires upscaler", "Latent")
    return [f"Old hires fix: {first_x}×{first_y} enlarged to {width}×{height}."]


def _plain_schedule(fields: Fields) -> list[str]:
    version = base_version(str(fields.get("Version", "")))
    if not version or version >= SCHEDULE_TYPE_SINCE or "Schedule type" in fields:
        return []
    if fields.get("Sampler") not in AUTOMATIC_NOW:
        return []
    fields["Schedule type"] = "Uniform"
    return [f"{fields['Sampler']} of version {'.'.join(map(str, version))} had schedule Uniform."]
