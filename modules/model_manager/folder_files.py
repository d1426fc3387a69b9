"""Which files hold the weights of the networks in a diffusers folder.

The names are those that diffusers and transformers save under. Opens no weights, loads no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from modules.core.errors import ModelError

NETWORKS: Final = ("unet", "vae", "text_encoder", "text_encoder_2")
"""The folders of the networks that Easel reads."""
PICKLED_STEMS: Final = ("diffusion_pytorch_model", "pytorch_model")
"""How the names of pickled weights begin; other programs put other `.bin` files beside them."""
_SAFE: Final = ".safetensors"
_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}\.")
_PATTERNS: Final = (
    f"*{_SAFE}.index*.json",
    f"*{_SAFE}",
    "*.bin.index*.json",
    "*.bin",
)


def find_weights(folder: Path) -> Path | None:
    """The file or index that a network is read from; None where there is neither.

    Safetensors go before pickles, and full precision before a variant.
    """
    for pattern in _PATTERNS:
        found = [file for file in folder.glob(pattern) if _is_weights(file)]
        if found:
            return min(found, key=lambda file: (file.name.count("."), file.name))
    return None


def is_pickled(weights: Path) -> bool:
    """Whether what `find_weights` found is a pickle, or an index of pickles."""
    return _SAFE not in weights.suffixes


def pickled_parts(weights: Path) -> tuple[Path, ...]:
    """The pickles that hold a network: the file itself, or all that an index names.

    Raises ModelError for an index that cannot be read, or where one of its files is not there.
    """
    if weights.suffix != ".json":
        if _SHARD.search(weights.name):
            raise ModelError(
                weights, "is one part of a network, and the index of its parts is gone."
            )
        return (weights,)
    try:
        names = json.loads(weights.read_text("utf-8"))["weight_map"].values()
        parts = {weights.parent / Path(name).name for name in names}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(weights, f"is not an index of weights ({error}).") from error
    if not parts:
        raise ModelError(weights, "names no files.")
    for part in sorted(parts):
        if not part.is_file():
            raise ModelError(weights, f"names {part.name}, which is not there.")
    return tuple(sorted(parts))


@contextmanager
def naming(model: Path, file: Path) -> Iterator[None]:
    """Have ModelErrors about `file` name the model too: these files are called alike in all."""
    try:
        yield
    except ModelError as error:
        raise ModelError(model, f"{file.relative_to(model).as_posix()} {error.reason}") from error


def _is_weights(file: Path) -> bool:
    return _SAFE in file.suffixes or file.name.startswith(PICKLED_STEMS)
