"""Pictures from Fooocus with its own scheme: JSON where A1111 has its infotext.

Its other scheme, "a1111", is an infotext and needs no reader of its own.
"""

from __future__ import annotations

import re
from typing import Any, Final

from modules.params.foreign.found import (
    Foreign,
    Json,
    Texts,
    as_list,
    as_number,
    as_text,
    as_whole,
    load_object,
    lora_tag,
    size_text,
    stem,
    with_tags,
)
from modules.params.foreign.names import put_sampler

NAME: Final = "Fooocus"

STEPS: Final = {
    "Quality": 60,
    "Speed": 30,
    "Extreme Speed": 8,
    "Lightning": 4,
    "Hyper-SD": 4,
}
"""Steps of each "performance", for pictures that do not say them."""

_USED: Final = frozenset(
    ("prompt", "negative_prompt", "full_prompt", "full_negative_prompt", "steps", "resolution",
     "guidance_scale", "base_model", "base_model_hash", "refiner_model", "refiner_model_hash",
     "refiner_switch", "sampler", "scheduler", "seed", "loras", "vae", "clip_skip", "version",
     "metadata_scheme", "performance", "fooocus_scheme", "created_by", "prompt_expansion",
     "styles")
)  # fmt: skip


def detect(texts: Texts) -> bool:
    """Whether these texts are Fooocus' own scheme."""
    text = texts.get("parameters", "").lstrip()
    return text.startswith("{") and (
        texts.get("fooocus_scheme") == "fooocus"
        or ('"base_model"' in text and '"adm_guidance"' in text)
        or ('"metadata_scheme"' in text and '"fooocus"' in text)
    )


def read(texts: Texts, size: tuple[int, int]) -> Foreign | None:
    """The parameters; styles are told as the full prompts that Fooocus made of them."""
    said = load_object(texts.get("parameters"))
    if said is None:
        return None
    found = Foreign(NAME, _prompt(said, "prompt"), _prompt(said, "negative_prompt"))
    found.prompt = with_tags(found.prompt, _loras(said))
    put_sampler(found, said.get("sampler"), said.get("scheduler"))
    performance = as_text(said.get("performance"))
    skip = as_whole(said.get("clip_skip"))
    found.pairs |= {
        "Steps": as_whole(said.get("steps")) or STEPS.get(performance),
        "CFG scale": as_number(said.get("guidance_scale")),
        "Seed": as_whole(said.get("seed")),
        "Size": _resolution(said.get("resolution")) or size_text(*size),
        "Model hash": as_text(said.get("base_model_hash"))[:10] or None,
        "Model": stem(said.get("base_model")) or None,
        "VAE": _vae(said.get("vae")),
        "Clip skip": skip if skip and skip > 1 else None,
        "RNG": "CPU",
    }
    refiner = stem(said.get("refiner_model"))
    if refiner not in ("", "None"):
        found.pairs |= {
            "Refiner": refiner,
            "Refiner switch at": as_number(said.get("refiner_switch")),
        }
    found.miss_keys(said, _USED)
    return found


def _prompt(said: Json, key: str) -> str:
    """The prompts as they were encoded where they are given, else as they were typed."""
    full = said.get(f"full_{key}")
    parts = [as_text(part) for part in as_list(full)] if isinstance(full, list) else [as_text(full)]
    return ", ".join(filter(None, parts)) or as_text(said.get(key))


def _loras(said: Json) -> list[str]:
    """ "loras" as [name, weight, hash], or "lora_combined_1" as "name : weight"."""
    tags = [lora_tag(*row[:2]) for row in as_list(said.get("loras")) if _is_pair(row)]
    for key, value in said.items():
        if key.startswith("lora_combined_"):
            name, colon, weight = as_text(value).rpartition(" : ")
            tags.append(lora_tag(name, weight) if colon else "")
    return [tag for tag in tags if tag]


def _is_pair(row: Any) -> bool:
    return isinstance(row, list) and len(row) >= 2


def _resolution(value: Any) -> str | None:
    """ "(1152, 896)" or [1152, 896]."""
    text = str(value) if isinstance(value, list) and len(value) == 2 else as_text(value)
    match = re.fullmatch(r"\D{0,3}(\d{1,6})\D{1,4}(\d{1,6})\D{0,3}", text)
    return size_text(match[1], match[2]) if match else None


def _vae(value: Any) -> str | None:
    name = as_text(value)
    return None if name in ("", "None") or name.startswith("Default") else name
