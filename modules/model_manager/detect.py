"""Which family a checkpoint is of, and what a file is that is no checkpoint."""

from __future__ import annotations

from modules.core.errors import ModelError
from modules.model_manager.kinds import UNET_PREFIX, VAE_PREFIX, kind_of
from modules.model_manager.tensor_header import TensorFile
from modules.pipelines.spec import Family

__all__ = ["UNET_PREFIX", "VAE_PREFIX", "describe", "identify"]


def identify(file: TensorFile) -> Family:
    """The family of a checkpoint. Raises ModelError that says what the file is instead."""
    kind = kind_of(file)
    if kind.family is None:
        raise ModelError(file.path, f"is no checkpoint that Easel can load: it is {kind.words}.")
    return Family(kind.family)


def describe(file: TensorFile) -> str:
    """What a file seems to be, in words that follow "it is"."""
    return kind_of(file).words
