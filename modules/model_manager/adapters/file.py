"""Adapter files (LoRA and its kin) read into what they do to each layer.

Knows file formats and tensor names; which layers a model has, `layers.py` knows.
"""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from modules.core.errors import ModelError
from modules.model_manager.adapters.layers import canonical_name
from modules.model_manager.adapters.layouts import (
    UnknownLayout,
    is_finite,
    layer_patch,
    split_name,
)
from modules.model_manager.adapters.patches import LayerPatch
from modules.model_manager.hashes import Stamp, stamp_of
from modules.model_manager.pickle_file import PICKLES, read_state_dict
from modules.model_manager.tensor_file import open_tensors, read_tensors
from modules.pipelines.spec import Family

log = logging.getLogger(__name__)

BUNDLE: Final = "bundle_emb."
"""Prefix of textual inversion embeddings that a LoRA file brings along."""

_BUNDLE_LAYOUTS: Final = (("string_to_param.*",), ("emb_params",), ("clip_l", "clip_g"))

_METADATA_FAMILIES: Final = (
    ("sdxl_refiner", Family.SDXL_REFINER),
    ("stable-diffusion-xl-v1-refiner", Family.SDXL_REFINER),
    ("sdxl", Family.SDXL),
    ("stable-diffusion-xl", Family.SDXL),
    ("sd_v2", Family.SD2),
    ("stable-diffusion-v2", Family.SD2),
    ("sd_v1", Family.SD1),
    ("sd_1", Family.SD1),
    ("stable-diffusion-v1", Family.SD1),
)
"""Beginnings of `ss_base_model_version` and `modelspec.architecture`."""
_TEXT_WIDTHS: Final = {
    768: Family.SD1,
    1024: Family.SD2,
    2048: Family.SDXL,
    1280: Family.SDXL_REFINER,
}
"""Input channels of a family's cross-attention."""


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """One adapter file in memory (CPU, the file's number format)."""

    path: Path
    stamp: Stamp
    """Of the file as it was read; with `path` it tells one adapter from another."""
    layers: Mapping[str, LayerPatch]
    """By canonical name (see `layers.py`)."""
    bundled: Mapping[str, tuple[Tensor, ...]]
    """Embeddings by the name that prompts call them: vectors (n, D) for each text encoder."""
    family: Family | None
    """What it was made for, where the file tells."""
    unknown: int
    """Tensors, or groups of them, that no layout reads."""
    size_bytes: int


def read_adapter(path: Path, *, allow_pickles: bool = False) -> Adapter:
    """Read a `.safetensors` adapter, or a pickled one where pickles are allowed.

    Raises ModelError where the file is damaged, holds values that are not numbers, or is no
    adapter.
    """
    stamp, tensors, metadata = _read(path, allow_pickles)
    broken = [name for name, tensor in tensors.items() if not is_finite(tensor)]
    if broken:
        raise ModelError(path, f"holds values that are not numbers (in {broken[0]}).")
    bundled = _bundled(tensors)
    groups: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
    unknown = 0
    for name, tensor in tensors.items():
        if name.startswith(BUNDLE):
            continue
        split = split_name(name)
        if split is None:
            unknown += 1
        else:
            groups[canonical_name(split[0])][split[1]] = tensor
    _add_peft_alphas(groups, metadata)
    layers: dict[str, LayerPatch] = {}
    for name, group in groups.items():
        try:
            layers[name] = layer_patch(group)
        except UnknownLayout as error:
            unknown += 1
            log.debug("%s: %s is in an unknown layout (%s)", path.name, name, error)
    if not layers and not bundled:
        first = ", ".join(sorted(tensors)[:3])
        raise ModelError(path, f"holds no LoRA in a known layout ({first} …).")
    size = sum(tensor.nbytes for tensor in tensors.values())
    family = _family(metadata, groups)
    return Adapter(path, stamp, layers, bundled, family, unknown, size)


def _read(path: Path, allow_pickles: bool) -> tuple[Stamp, dict[str, Tensor], Mapping[str, str]]:
    try:
        stamp = stamp_of(path)
    except OSError as error:
        raise ModelError(path, f"cannot be read ({error.strerror or error}).") from error
    if path.suffix.lower() in PICKLES:
        return stamp, read_state_dict(path, allowed=allow_pickles), {}
    file = open_tensors(path)
    return stamp, read_tensors(file, file.entries, torch.device("cpu")), file.metadata


def _bundled(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, ...]]:
    """`bundle_emb.NAME.string_to_param.*`, `.emb_params`, or `.clip_l` and `.clip_g` -> NAME."""
    parts: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        if name.startswith(BUNDLE) and tensor.dim() in (1, 2):
            own, _, part = name.removeprefix(BUNDLE).partition(".")
            parts[own][part] = tensor.reshape(-1, tensor.shape[-1]).float()
    found: dict[str, tuple[Tensor, ...]] = {}
    for own, rows in parts.items():
        for layout in _BUNDLE_LAYOUTS:
            if all(part in rows for part in layout):
                found[own] = tuple(rows[part] for part in layout)
                break
    return found


def _add_peft_alphas(groups: Mapping[str, dict[str, Tensor]], metadata: Mapping[str, str]) -> None:
    """PEFT keeps `lora_alpha` in the file's metadata, for all layers of a part, not in tensors."""
    try:
        config: Any = json.loads(metadata.get("lora_adapter_metadata", "{}"))
        alphas = {
            part: float(config[f"{key}.lora_alpha"])
            for part, key in (
                ("unet_", "unet"), ("te1_", "text_encoder"), ("te2_", "text_encoder_2")
            )
            if f"{key}.lora_alpha" in config
        }  # fmt: skip
    except (ValueError, TypeError):
        return
    for name, group in groups.items():
        for part, alpha in alphas.items():
            if name.startswith(part) and "lora_down.weight" in group:
                group.setdefault("alpha", torch.tensor(alpha))


def _family(
    metadata: Mapping[str, str], groups: Mapping[str, Mapping[str, Tensor]]
) -> Family | None:
    """What the file says, or what the width of its cross-attention tells."""
    for key in ("ss_base_model_version", "modelspec.architecture"):
        said = str(metadata.get(key, "")).lower()
        for beginning, family in _METADATA_FAMILIES:
            if said.startswith(beginning):
                return family
    widths = Counter(
        group["lora_down.weight"].shape[1]
        for name, group in groups.items()
        if name.endswith(("attn2_to_k", "attn2_to_v")) and "lora_down.weight" in group
    )
    common = widths.most_common(1)
    return _TEXT_WIDTHS.get(common[0][0]) if common else None
