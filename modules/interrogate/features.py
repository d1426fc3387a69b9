"""Vectors of word lists, kept on the disk: reading words is the slow part of interrogation.

One file per model and list. What cannot be read is made again, what cannot be written is not kept.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from modules.interrogate.words import WordList

log = logging.getLogger(__name__)


class WordFeatures:
    """The vectors of lists by model."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(
        self, words: WordList, model_key: str, read: Callable[[Sequence[str]], Tensor]
    ) -> Tensor:
        """(N, D) float32 unit vectors of the words, from the disk or by `read`.

        model_key: changes whenever the model does.
        """
        file = self._file(words, model_key)
        kept = _load(file, len(words.words))
        if kept is not None:
            return kept
        vectors = read(words.words)
        self._save(file, words, vectors)
        return vectors

    def _file(self, words: WordList, model_key: str) -> Path:
        text = "\n".join((model_key, *words.words))
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"

    def _save(self, file: Path, words: WordList, vectors: Tensor) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=file.parent, suffix=".new")
            os.close(handle)
            save_file({"words": vectors.contiguous()}, name)
            Path(name).replace(file)
        except OSError as error:
            log.warning("The words of %s will be read again next time: %s", words.category, error)


def _load(file: Path, count: int) -> Tensor | None:
    try:
        vectors = load_file(file)["words"]
    except (OSError, SafetensorError, KeyError):
        return None
    is_whole = vectors.ndim == 2 and len(vectors) == count and bool(torch.isfinite(vectors).all())
    return vectors if is_whole else None
