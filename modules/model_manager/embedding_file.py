"""Files of textual inversion embeddings: what is in them, told from headers where that is enough.

Layouts: A1111's `.pt` (`string_to_param`) and `.safetensors` (`emb_params`), SDXL's two tensors
(`clip_l`, `clip_g`), diffusers' (`<token>` or any one tensor), and PNG pictures with A1111's text
chunk. Loads no torch at module level.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from modules.core.errors import ModelError
from modules.model_manager.tensor_header import open_tensors

if TYPE_CHECKING:
    import torch

PICTURES: Final = frozenset({".png", ".webp"})
PNG_KEY: Final = "sd-ti-embedding"
"""Of the text chunk: base64 of JSON in A1111's `.pt` layout, tensors as nested lists."""
TENSOR_KEY: Final = "TORCHTENSOR"
TWO_ENCODERS: Final = ("clip_l", "clip_g")


@dataclass(frozen=True, slots=True)
class EmbeddingInfo:
    """What lists say of an embedding."""

    vectors: int
    """Tokens that it takes in a prompt."""
    widths: tuple[int, ...]
    """Features of each text encoder that it was trained for."""
    step: int | None = None
    sd_checkpoint: str | None = None
    """Short hash of the checkpoint that it was trained on."""
    sd_checkpoint_name: str | None = None

    @property
    def shape(self) -> int:
        """Width, as A1111 names it; the last encoder's where there are two."""
        return self.widths[-1]


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """An embedding in memory: for each text encoder its vectors (n, D), CPU, float32."""

    info: EmbeddingInfo
    vectors: tuple[torch.Tensor, ...]


def read_info(path: Path) -> EmbeddingInfo | None:
    """What the header of a `.safetensors` tells; None for other files, which must be read whole.

    Raises ModelError where the file is damaged or no embedding.
    """
    if path.suffix.lower() != ".safetensors":
        return None
    shapes = {name: entry.shape for name, entry in open_tensors(path).entries.items()}
    return _info(path, [shapes[name] for name in _tensor_names(path, shapes)])


def read_embedding(path: Path, *, allow_pickles: bool) -> Embedding:
    """Read a file whole. Raises ModelError, for pickles also where they are not allowed."""
    suffix = path.suffix.lower()
    try:
        if suffix in PICTURES:
            content: Any = _read_picture(path)
        elif suffix == ".safetensors":
            content = _read_safetensors(path)
        else:
            from modules.model_manager.pickle_file import read_small  # torch

            content = read_small(path, allowed=allow_pickles)
    except OSError as error:
        raise ModelError(path, f"cannot be read ({error.strerror or error}).") from error
    return _embedding(path, content)


def _embedding(path: Path, content: Any) -> Embedding:
    import torch

    if not isinstance(content, Mapping):
        raise ModelError(path, "is no textual inversion embedding.")
    named = content.get("string_to_param")
    tensors = named if isinstance(named, Mapping) else content
    kept = {
        str(key): value
        for key, value in tensors.items()
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim() in (1, 2)
    }
    chosen = [kept[name].float() for name in _tensor_names(path, kept)]
    rows = [tensor.reshape(-1, tensor.shape[-1]) for tensor in chosen]
    if not all(bool(torch.isfinite(tensor).all()) for tensor in rows):
        raise ModelError(path, "holds values that are not numbers.")
    info = _info(path, [tuple(tensor.shape) for tensor in rows], content)
    return Embedding(info, tuple(rows))


def _tensor_names(path: Path, tensors: Mapping[str, Any]) -> list[str]:
    """Names of an embedding's tensors, in the order of the text encoders."""
    if all(name in tensors for name in TWO_ENCODERS):
        return list(TWO_ENCODERS)
    for name in ("emb_params", "*"):
        if name in tensors:
            return [name]
    if len(tensors) != 1:
        raise ModelError(
            path, f"is no textual inversion embedding: it holds {len(tensors)} tensors."
        )
    return list(tensors)


def _info(
    path: Path, shapes: list[tuple[int, ...]], content: Mapping[str, Any] | None = None
) -> EmbeddingInfo:
    if any(len(shape) not in (1, 2) or not math.prod(shape) for shape in shapes):
        raise ModelError(path, f"is no textual inversion embedding: its tensors are {shapes}.")
    counts = {shape[0] if len(shape) == 2 else 1 for shape in shapes}
    if len(counts) != 1:
        raise ModelError(path, f"has {counts} vectors for its text encoders; equal numbers fit.")
    content = content or {}
    step, checkpoint = content.get("step"), content.get("sd_checkpoint")
    name = content.get("sd_checkpoint_name")
    return EmbeddingInfo(
        vectors=counts.pop(),
        widths=tuple(shape[-1] for shape in shapes),
        step=step if isinstance(step, int) else None,
        sd_checkpoint=checkpoint if isinstance(checkpoint, str) else None,
        sd_checkpoint_name=name if isinstance(name, str) else None,
    )


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    import torch

    from modules.model_manager.tensor_file import read_tensors

    file = open_tensors(path)
    return read_tensors(file, file.entries, torch.device("cpu"))


def _read_picture(path: Path) -> Any:
    with Image.open(path) as picture:
        picture.load()  # a PNG's text may stand behind its pixels
        text = picture.info.get(PNG_KEY)
    if not isinstance(text, str | bytes):
        raise ModelError(path, "is a picture without an embedding in its text.")
    try:
        return json.loads(base64.b64decode(text, validate=True), object_hook=_as_tensor)
    except (ValueError, binascii.Error, RecursionError, TypeError) as error:
        raise ModelError(path, f"holds a damaged embedding ({error}).") from error


def _as_tensor(values: dict[str, Any]) -> Any:
    if TENSOR_KEY not in values:
        return values
    import torch

    return torch.tensor(values[TENSOR_KEY], dtype=torch.float32)
