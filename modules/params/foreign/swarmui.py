"""Pictures from SwarmUI: JSON with "sui_image_params" where A1111 has its infotext."""

from __future__ import annotations

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
from modules.params.foreign.names import put_sampler

NAME: Final = "SwarmUI"

_USED: Final = frozenset(
    ("prompt", "negativeprompt", "model", "seed", "steps", "cfgscale", "width", "height",
     "sampler", "scheduler", "vae", "loras", "loraweights", "variationseed",
     "variationseedstrength", "clipstopatlayer", "images", "aspectratio", "sidelength",
     "swarm_version", "date", "generation_time", "automaticvae", "original_prompt",
     "originalprompt", "refinercontrolpercentage", "refinercontrol", "refinerupscale",
     "refinerupscalemethod", "refinersteps", "refinermethod", "refinermodel")
)  # fmt: skip

_UPSCALERS: Final = {
    "latent-bilinear": "Latent",
    "latent-bicubic": "Latent (bicubic)",
    "latent-nearest-exact": "Latent (nearest-exact)",
    "pixel-lanczos": "Lanczos",
    "pixel-nearest-exact": "Nearest",
}


def detect(texts: Texts) -> bool:
    """Whether these texts are SwarmUI's."""
    return '"sui_image_params"' in texts.get("parameters", "")


def read(texts: Texts, size: tuple[int, int]) -> Foreign | None:
    """The first pass, and refining with an upscale as hires fix."""
    whole = load_object(texts.get("parameters"))
    said = as_object(whole.get("sui_image_params")) if whole else {}
    if not whole or not said:
        return None
    found = Foreign(NAME, as_text(said.get("prompt")), as_text(said.get("negativeprompt")))
    names, weights = (_several(said.get(key)) for key in ("loras", "loraweights"))
    weights += ["1"] * (len(names) - len(weights))
    tags = [lora_tag(name, weight) for name, weight in zip(names, weights, strict=False)]
    found.prompt = with_tags(found.prompt, tags)
    put_sampler(found, said.get("sampler"), said.get("scheduler"))
    layer = as_whole(said.get("clipstopatlayer"))
    strength = as_number(said.get("variationseedstrength"))
    found.pairs |= {
        "Steps": as_whole(said.get("steps")),
        "CFG scale": as_number(said.get("cfgscale")),
        "Seed": as_whole(said.get("seed")),
        "Size": size_text(said.get("width"), said.get("height")) or size_text(*size),
        "Model hash": _model_hash(whole),
        "Model": stem(said.get("model")) or None,
        "VAE": _named(said.get("vae")),
        "Variation seed": as_whole(said.get("variationseed")) if strength else None,
        "Variation seed strength": strength or None,
        "Clip skip": -layer if layer is not None and layer < -1 else None,
        "RNG": "CPU",
    }
    _put_refining(found, said)
    found.miss_keys(said, _USED)
    return found


def _several(value: Any) -> list[str]:
    """A list, also one written as text with commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [as_text(one) for one in as_list(value)]


def _named(value: Any) -> str | None:
    name = stem(value)
    return None if name in ("", "None", "Automatic") else name


def _model_hash(whole: Json) -> str | None:
    """A1111's ten digits where SwarmUI knows the file's own sha256, not that of the tensors."""
    for row in as_list(whole.get("sui_models")):
        row = as_object(row)
        if row.get("param") == "model" and as_text(row.get("hash")).startswith("sha256:"):
            return as_text(row["hash"]).removeprefix("sha256:")[:10]
    return None


def _put_refining(found: Foreign, said: Json) -> None:
    share = as_number(said.get("refinercontrolpercentage", said.get("refinercontrol")))
    upscale = as_number(said.get("refinerupscale"))
    if not share:
        return
    if as_text(said.get("refinermethod")) not in ("", "PostApply", "postapply"):
        found.miss(f"refiner method {as_text(said.get('refinermethod'))}")
    if model := stem(said.get("refinermodel")):
        found.pairs["Hires checkpoint"] = model
    method = as_text(said.get("refinerupscalemethod"))
    name = _UPSCALERS.get(method) or stem(method.removeprefix("model-"))
    found.pairs |= {
        "Denoising strength": share,
        "Hires upscale": upscale or 1,
        "Hires steps": as_whole(said.get("refinersteps")),
        "Hires upscaler": name or "Lanczos",
    }
