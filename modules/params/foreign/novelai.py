"""Pictures from NovelAI: JSON in "Comment"; hidden in the pixels too, which is not known here."""

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
    size_text,
)
from modules.params.foreign.names import put_sampler
from modules.params.foreign.weights import from_novelai

NAME: Final = "NovelAI"

_USED: Final = frozenset(
    ("prompt", "uc", "steps", "sampler", "scale", "seed", "width", "height", "noise_schedule",
     "v4_prompt", "v4_negative_prompt", "signed_hash", "request_type", "n_samples", "version",
     "strength", "noise", "ucPreset", "qualityToggle", "extra_noise_seed", "legacy_v3_extend",
     "sm", "sm_dyn", "uncond_scale", "params_version", "legacy", "legacy_uc",
     "add_original_image", "skip_cfg_below_sigma", "lora_unet_weights", "lora_clip_weights",
     "prefer_brownian", "cfg_sched_eligibility", "explike_fine_detail",
     "minimize_sigma_inf", "uncond_per_vibe", "wonky_vibe_correlation", "stream",
     "deliberate_euler_ancestral_bug", "dynamic_thresholding_percentile",
     "dynamic_thresholding_mimic_scale", "controlnet_strength", "autoSmea")
)  # fmt: skip


def detect(texts: Texts) -> bool:
    """Whether these texts are NovelAI's."""
    return texts.get("Software") == "NovelAI" and "Comment" in texts


def read(texts: Texts, size: tuple[int, int]) -> Foreign | None:
    """The parameters. NovelAI's first models skip one CLIP layer and use ENSD 31337."""
    said = load_object(texts.get("Comment"))
    if said is None:
        return None
    prompt, negative = _prompts(said)
    if not said.get("v4_prompt"):
        prompt = as_text(texts.get("Description")) or prompt
    found = Foreign(NAME, from_novelai(prompt), from_novelai(negative))
    put_sampler(found, said.get("sampler"), said.get("noise_schedule"))
    found.pairs |= {
        "Steps": as_whole(said.get("steps")),
        "CFG scale": as_number(said.get("scale")),
        "Seed": as_whole(said.get("seed")),
        "Size": size_text(said.get("width"), said.get("height")) or size_text(*size),
        "Clip skip": 2,
        "ENSD": 31337,
    }
    if as_text(said.get("request_type")) not in ("", "PromptGenerateRequest"):
        found.pairs["Denoising strength"] = as_number(said.get("strength"))
        found.miss("the picture that it was made from")
    if said.get("sm") or said.get("sm_dyn"):
        found.miss("SMEA")
    if source := texts.get("Source"):
        found.miss(f"model {as_text(source)}")
    found.miss_keys(said, _USED)
    return found


def _prompts(said: Json) -> tuple[str, str]:
    """Prompt and negative prompt; those of characters (model 4) come after the picture's."""
    plain = as_text(said.get("prompt")), as_text(said.get("uc"))
    structured = _captions(said.get("v4_prompt")), _captions(said.get("v4_negative_prompt"))
    return structured[0] or plain[0], structured[1] or plain[1]


def _captions(value: Any) -> str:
    caption = as_object(as_object(value).get("caption"))
    rows = as_list(caption.get("char_captions"))
    characters = [as_text(as_object(row).get("char_caption")) for row in rows]
    return ", ".join(filter(None, [as_text(caption.get("base_caption")), *characters]))
