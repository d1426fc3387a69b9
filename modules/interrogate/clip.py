"""A loaded CLIP: pictures and words to vectors that can be compared (Radford et al. 2021).

Carries torch; `interrogator.py` imports it when the first picture comes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from modules.core.errors import ModelError
from modules.interrogate.clip_files import ClipFiles

BATCH: Final = 64
"""Words that are read at once."""

_DAMAGE: Final = (
    OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, AssertionError,
    ImportError,
)  # fmt: skip
"""What open_clip raises for configurations and weights that are not what they should be."""


class Clip:
    """Image tower, text tower and their preparation, float32 on one device."""

    def __init__(
        self,
        model: Any,
        tokenize: Callable[[list[str]], Tensor],
        prepare: Callable[[Image.Image], Tensor],
        device: torch.device,
    ) -> None:
        """model: open_clip's; tokenize: words → ids (N, 77); prepare: picture → (3, H, W)."""
        self._model = model
        self._tokenize = tokenize
        self._prepare = prepare
        self._device = device

    @property
    def sharpness(self) -> float:
        """What likenesses are multiplied by before they become shares."""
        return float(self._model.logit_scale.exp())

    def to(self, device: torch.device) -> None:
        """Move both towers."""
        self._model.to(device)
        self._device = device

    @torch.inference_mode()
    def see(self, image: Image.Image) -> Tensor:
        """The RGB picture as a unit vector (D,), float32 on the CPU."""
        pixels = self._prepare(image)[None].to(self._device)
        seen: Tensor = self._model.encode_image(pixels, normalize=True)
        return seen[0].float().cpu()

    @torch.inference_mode()
    def read(self, words: Sequence[str]) -> Tensor:
        """The words as unit vectors (N, D), float32 on the CPU."""
        parts = []
        for start in range(0, len(words), BATCH):
            ids = self._tokenize(list(words[start : start + BATCH])).to(self._device)
            parts.append(self._model.encode_text(ids, normalize=True).float().cpu())
        return torch.cat(parts)


def load_clip(files: ClipFiles, device: torch.device) -> Clip:
    """Read it from the disk. Raises ModelError for what is damaged or does not fit together."""
    import open_clip  # heavy, and nobody else needs it
    from open_clip.transform import PreprocessCfg, image_transform_v2

    name = f"local-dir:{files.config.parent}" if files.config else files.architecture
    weights = None if files.config else str(files.weights)
    try:
        model = open_clip.create_model(
            name, pretrained=weights, force_quick_gelu=files.quick_gelu, device="cpu"
        )
        tokenize = open_clip.get_tokenizer(name)
        prepare = image_transform_v2(PreprocessCfg(**_preparation(files, model)), is_train=False)
    except (*_DAMAGE, SafetensorError) as error:
        raise ModelError(files.name, f"it cannot be loaded: {_short(error)}") from error
    model.eval().requires_grad_(False).to(device)
    return Clip(model, tokenize, prepare, device)


def _preparation(files: ClipFiles, model: Any) -> dict[str, Any]:
    """The fields of open_clip's PreprocessCfg."""
    from open_clip.transform import PreprocessCfg

    fields = asdict(PreprocessCfg()) | {"size": model.visual.image_size}
    if files.config is not None:
        given = json.loads(files.config.read_text(encoding="utf-8")).get("preprocess_cfg", {})
    else:
        given = files.preprocess or {}
    return fields | {key: value for key, value in dict(given).items() if key in fields}


def _short(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= 300 else text[:299] + "…"
