"""Pictures from Easy Diffusion: one text per parameter in PNG, one JSON object in JPEG and WebP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modules.params.foreign.found import (
    Foreign,
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
from modules.params.foreign.names import plain_name, put_sampler

NAME: Final = "Easy Diffusion"

LABELS: Final = {
    "prompt": "prompt",
    "negative prompt": "negative_prompt",
    "seed": "seed",
    "width": "width",
    "height": "height",
    "steps": "num_inference_steps",
    "inference steps": "num_inference_steps",
    "guidance scale": "guidance_scale",
    "prompt strength": "prompt_strength",
    "sampler": "sampler_name",
    "stable diffusion model": "use_stable_diffusion_model",
    "clip skip": "clip_skip",
    "vae model": "use_vae_model",
    "lora model": "use_lora_model",
    "lora strength": "lora_alpha",
    "seamless tiling": "tiling",
    "use face correction": "use_face_correction",
    "use upscaling": "use_upscale",
    "upscale by": "upscale_amount",
    "hypernetwork model": "use_hypernetwork_model",
    "hypernetwork strength": "hypernetwork_strength",
}
"""Labels of its text files, in lower case, and the keys of its JSON."""

_MARKS: Final = frozenset(
    ("num_inference_steps", "use_stable_diffusion_model", "Stable Diffusion model")
)
_WANTED: Final = frozenset(
    ("use_face_correction", "use_upscale", "use_controlnet_model", "control_image_to_preserve")
)
"""What changes the picture and has no place here."""
_KARRAS: Final = frozenset(
    ("dpmpp_2m", "dpmpp_2m_sde", "dpmpp_sde", "dpmpp_3m_sde", "dpmpp_2s_a", "dpmpp_2s_ancestral")
)


def detect(texts: Texts) -> bool:
    """Whether these texts are Easy Diffusion's."""
    whole = load_object(texts.get("parameters"))
    return bool(_MARKS & (texts if whole is None else whole).keys())


def read(texts: Texts, size: tuple[int, int]) -> Foreign | None:
    """The parameters; LoRAs become tags, a hypernetwork too."""
    said = _said(texts)
    found = Foreign(NAME, as_text(said.get("prompt")), as_text(said.get("negative_prompt")))
    found.prompt = with_tags(found.prompt, _tags(said))
    sampler = said.get("sampler_name")
    put_sampler(found, sampler, "karras" if plain_name(as_text(sampler)) in _KARRAS else "")
    found.pairs |= {
        "Steps": as_whole(said.get("num_inference_steps")),
        "CFG scale": as_number(said.get("guidance_scale")),
        "Seed": as_whole(said.get("seed")),
        "Size": size_text(said.get("width"), said.get("height")) or size_text(*size),
        "Model": stem(said.get("use_stable_diffusion_model")) or None,
        "VAE": _given(said.get("use_vae_model")),
        "Clip skip": 2 if _is_true(said.get("clip_skip")) else None,
        "Tiling": True if as_text(said.get("tiling")) in ("xy", "both") else None,
    }
    if as_text(said.get("init_image")) or said.get("init_image"):
        found.pairs["Denoising strength"] = as_number(said.get("prompt_strength"))
        found.miss("the picture that it was made from")
    for key in sorted(_WANTED & said.keys()):
        if value := _given(said[key]):
            found.miss(f"{key}: {value}")
    return found


def _said(texts: Texts) -> Mapping[str, Any]:
    whole = load_object(texts.get("parameters"))
    said: Mapping[str, Any] = texts if whole is None else whole
    return {LABELS.get(key.lower(), key): value for key, value in said.items()}


def _tags(said: Mapping[str, Any]) -> list[str]:
    names, weights = (_several(said.get(key)) for key in ("use_lora_model", "lora_alpha"))
    weights += [None] * (len(names) - len(weights))
    tags = [lora_tag(name, weight) for name, weight in zip(names, weights, strict=False)]
    if name := stem(said.get("use_hypernetwork_model")).translate(str.maketrans("", "", "<>:")):
        strength = as_number(said.get("hypernetwork_strength"))
        tags.append(f"<hypernet:{name}:{1 if strength is None else strength}>")
    return [tag for tag in tags if tag and ":None:" not in tag]


def _several(value: Any) -> list[Any]:
    """A list; one value, or Python's text of a list, counts as one."""
    if isinstance(value, list):
        return list(as_list(value))
    text = as_text(value)
    if text.startswith("[") and text.endswith("]"):
        return [part.strip().strip("'\"") for part in text[1:-1].split(",")]
    return [text] if text else []


def _given(value: Any) -> str | None:
    text = as_text(value)
    return None if text in ("", "None", "False", "false", "none") else text


def _is_true(value: Any) -> bool:
    return value is True or as_text(value).lower() == "true"
