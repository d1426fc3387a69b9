"""Pictures from InvokeAI: "invokeai_metadata" (since 3.0), "sd-metadata" and "Dream" (before)."""

from __future__ import annotations

import re
from typing import Any, Final

from modules.params.foreign.found import (
    Foreign,
    Json,
    Texts,
    as_list,
    as_number,
    as_object,
    as_text,
    as_whole,
    load_object,
    lora_tag,
    size_text,
    stem,
    with_tags,
)
from modules.params.foreign.names import plain_name, put_sampler
from modules.params.foreign.weights import from_compel

NAME: Final = "InvokeAI"
KEYS: Final = ("invokeai_metadata", "sd-metadata", "Dream")

_USED: Final = frozenset(
    ("generation_mode", "positive_prompt", "negative_prompt", "width", "height", "seed",
     "rand_device", "cfg_scale", "steps", "scheduler", "clip_skip", "model", "vae", "loras",
     "strength", "app_version", "seamless_x", "seamless_y", "hrf_enabled", "hrf_strength",
     "hrf_method", "refiner_model", "refiner_start", "refiner_cfg_scale", "refiner_steps",
     "refiner_scheduler", "refiner_positive_aesthetic_score", "canvas_v2_metadata",
     "refiner_negative_aesthetic_score", "positive_style_prompt", "negative_style_prompt")
)  # fmt: skip

_OLD_USED: Final = frozenset(
    ("prompt", "steps", "cfg_scale", "height", "width", "seed", "sampler", "seamless", "type",
     "hires_fix", "image", "model", "model_id", "model_hash", "model_weights", "app_id",
     "app_version", "strength", "threshold", "perlin")
)  # fmt: skip

_DREAM: Final = re.compile(r'\s*"(?P<prompt>.*)"\s*(?P<rest>[^"]*)', re.DOTALL)
_SWITCH: Final = re.compile(r"-(\w)\s*(\S+)")
_NEGATIVE: Final = re.compile(r"(?<!\\)\[([^\[\]]*)\]")


def detect(texts: Texts) -> bool:
    """Whether these texts are InvokeAI's."""
    return any(key in texts for key in KEYS)


def read(texts: Texts, size: tuple[int, int]) -> Foreign | None:
    """The newest of the layouts that is there."""
    if (said := load_object(texts.get("invokeai_metadata"))) is not None:
        return _present(said, size)
    if (said := load_object(texts.get("sd-metadata"))) is not None:
        return _structured(said, size)
    return _dream(texts.get("Dream", ""), size)


def _present(said: Json, size: tuple[int, int]) -> Foreign:
    prompt, negative = (
        from_compel(as_text(said.get(f"{sign}_prompt"))) for sign in ("positive", "negative")
    )
    found = Foreign(NAME, prompt, negative)
    found.prompt = with_tags(found.prompt, [_lora(row) for row in as_list(said.get("loras"))])
    _put_scheduler(found, said.get("scheduler"))
    device, skip = as_text(said.get("rand_device")), as_whole(said.get("clip_skip"))
    found.pairs |= {
        "Steps": as_whole(said.get("steps")),
        "CFG scale": as_number(said.get("cfg_scale")),
        "Seed": as_whole(said.get("seed")),
        "Size": size_text(said.get("width"), said.get("height")) or size_text(*size),
        "Model": _model(said.get("model")),
        "VAE": _model(said.get("vae")),
        "Clip skip": skip + 1 if skip else None,
        "RNG": "CPU" if device == "cpu" else None,
        "Tiling": True if said.get("seamless_x") and said.get("seamless_y") else None,
    }
    if bool(said.get("seamless_x")) != bool(said.get("seamless_y")):
        found.miss("seamless in one direction")
    if refiner := _model(said.get("refiner_model")):
        found.pairs |= {
            "Refiner": refiner,
            "Refiner switch at": as_number(said.get("refiner_start")),
        }
    _put_hires(found, said, size)
    for sign in ("positive", "negative"):
        style = as_text(said.get(f"{sign}_style_prompt"))
        if style and style != as_text(said.get(f"{sign}_prompt")):
            found.miss(f"{sign}_style_prompt")
    if as_text(said.get("generation_mode")).endswith(("img2img", "inpaint", "outpaint")):
        found.pairs["Denoising strength"] = as_number(said.get("strength"))
        found.miss("the picture that it was made from")
    found.miss_keys(said, _USED)
    return found


def _put_scheduler(found: Foreign, value: Any) -> None:
    """InvokeAI's name says the schedule too: "dpmpp_2m_k" is DPM++ 2M Karras."""
    name = as_text(value)
    plain = plain_name(name)
    is_karras = plain.endswith("_k")
    put_sampler(found, plain.removesuffix("_k"), "karras" if is_karras else "")
    if not is_karras and "Sampler" in found.pairs:
        found.pairs["Schedule type"] = "Uniform"


def _put_hires(found: Foreign, said: Json, size: tuple[int, int]) -> None:
    if not said.get("hrf_enabled"):
        return
    found.pairs |= {
        "Denoising strength": as_number(said.get("hrf_strength")),
        "Hires resize": size_text(*size),
        "Hires upscaler": "Lanczos" if said.get("hrf_method") == "ESRGAN" else "Latent",
    }
    if said.get("hrf_method") == "ESRGAN":
        found.miss("hires fix with ESRGAN (Lanczos instead)")


def _lora(row: Any) -> str:
    row = as_object(row)
    return lora_tag(_model(row.get("lora", row.get("model"))), row.get("weight"))


def _model(value: Any) -> str | None:
    """A model is named in one of several ways; older releases give a text."""
    if isinstance(value, dict):
        value = value.get("name") or value.get("model_name")
    return stem(value) or None


def _structured(said: Json, size: tuple[int, int]) -> Foreign:
    image = as_object(said.get("image"))
    prompts = image.get("prompt")
    if isinstance(prompts, list):
        prompts = " ".join(as_text(as_object(part).get("prompt")) for part in prompts)
    found = _of_old(as_text(prompts))
    put_sampler(found, image.get("sampler"), "")
    found.pairs |= {
        "Steps": as_whole(image.get("steps")),
        "CFG scale": as_number(image.get("cfg_scale")),
        "Seed": as_whole(image.get("seed")),
        "Size": size_text(image.get("width"), image.get("height")) or size_text(*size),
        "Model": stem(said.get("model_weights")) or None,
        "Tiling": True if image.get("seamless") else None,
    }
    if image.get("type") == "img2img":
        found.pairs["Denoising strength"] = as_number(image.get("strength"))
        found.miss("the picture that it was made from")
    if image.get("hires_fix"):
        found.miss("hires_fix")
    found.miss_keys(image, _OLD_USED)
    for key in ("threshold", "perlin"):
        if as_number(image.get(key)):
            found.miss(key)
    return found


def _dream(text: str, size: tuple[int, int]) -> Foreign | None:
    """A command line: `"prompt [negative]" -s 50 -S 123 -W 512 -H 512 -C 7.5 -A k_lms`."""
    match = _DREAM.fullmatch(text)
    if match is None:
        return None
    switches = dict(_SWITCH.findall(match["rest"]))
    found = _of_old(as_text(match["prompt"]))
    put_sampler(found, switches.get("A"), "")
    found.pairs |= {
        "Steps": as_whole(switches.get("s")),
        "CFG scale": as_number(switches.get("C")),
        "Seed": as_whole(switches.get("S")),
        "Size": size_text(switches.get("W"), switches.get("H")) or size_text(*size),
    }
    for switch in switches.keys() - set("ACSsWHnU"):
        found.miss(f"-{switch} {switches[switch]}")
    return found


def _of_old(prompt: str) -> Foreign:
    """Before 3.0 the negative prompt stood in square brackets."""
    negative = ", ".join(filter(None, (part.strip() for part in _NEGATIVE.findall(prompt))))
    found = Foreign(NAME, from_compel(_NEGATIVE.sub("", prompt).strip()), from_compel(negative))
    found.pairs["Schedule type"] = "Uniform"
    return found
