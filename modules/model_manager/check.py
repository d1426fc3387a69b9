"""Whether a file could be loaded as a checkpoint, as far as its header tells. Loads no torch."""

from __future__ import annotations

from pathlib import Path

from modules.core.errors import ModelError
from modules.model_manager.folder_files import NETWORKS, find_weights, is_pickled, naming
from modules.model_manager.kinds import kind_of
from modules.model_manager.scan import FOLDER_MARK
from modules.model_manager.tensor_header import open_tensors

PICKLES = frozenset({".ckpt", ".pt", ".pth", ".bin"})
"""File endings of pickles, in lower case."""
ALLOW_PICKLES = "allow_pickles"
"""The setting that allows them."""


def check_checkpoint(path: Path, *, allow_pickles: bool, own_vae: bool = True) -> None:
    """Raise ModelError for a file that is damaged, of another kind, or a forbidden pickle.

    Takes milliseconds; what only loading can tell (memory, missing tensors) it does not.
    `own_vae`: whether the model's own autoencoder will be loaded, and not another.
    """
    if (path / FOLDER_MARK).is_file():
        for network in NETWORKS if own_vae else (name for name in NETWORKS if name != "vae"):
            check_weights(path, find_weights(path / network), allow_pickles=allow_pickles)
        return
    if path.suffix.lower() in PICKLES:
        check_pickle(path, allowed=allow_pickles)
        return
    kind = kind_of(open_tensors(path))
    if kind.family is None:
        raise ModelError(path, f"is no checkpoint that Easel can load: it is {kind.words}.")


def check_weights(model: Path, weights: Path | None, *, allow_pickles: bool) -> None:
    """Raise ModelError where the weights of a network of the folder `model` may not be read."""
    if weights is not None and is_pickled(weights):
        with naming(model, weights):
            check_pickle(weights, allowed=allow_pickles)


def check_pickle(path: Path, *, allowed: bool) -> None:
    """Raise ModelError, with the way out, where pickles are not allowed."""
    if not allowed:
        raise ModelError(
            path,
            "is a pickle, which can run code when it is opened, so it is not loaded; convert it to "
            f".safetensors, or set {ALLOW_PICKLES} in config.json (its code is not run even then).",
        )
