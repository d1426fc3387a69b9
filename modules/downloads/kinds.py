"""Kinds of model files: which folder each belongs to, and how a file's content tells its kind.

Reads the headers of safetensors files; never loads a tensor, nor torch.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

from modules.core.errors import BadInput, ModelError
from modules.core.paths import Paths
from modules.model_manager.kinds import kind_of
from modules.model_manager.tensor_header import open_tensors

PICKLES: Final = (".ckpt", ".pt", ".pth", ".bin")
SAFE: Final = ".safetensors"


class Kind(StrEnum):
    """What a model file is; the words that `--kind` takes."""

    CHECKPOINT = "checkpoint"
    VAE = "vae"
    LORA = "lora"
    EMBEDDING = "embedding"
    HYPERNETWORK = "hypernetwork"
    CONTROLNET = "controlnet"
    UPSCALER = "upscaler"
    APPROXIMATION = "vae-approx"


def find_kind(name: str) -> Kind:
    """The kind of that name. Raises BadInput that lists them."""
    try:
        return Kind(name.strip().lower())
    except ValueError:
        raise BadInput("kind", name, f"allowed: {', '.join(Kind)}") from None


def folder_of(kind: Kind, paths: Paths) -> Path:
    """Where files of a kind lie."""
    folders = {
        Kind.CHECKPOINT: paths.checkpoints[0],
        Kind.VAE: paths.vaes[0],
        Kind.LORA: paths.loras[0],
        Kind.EMBEDDING: paths.embeddings,
        Kind.HYPERNETWORK: paths.hypernetworks,
        Kind.CONTROLNET: paths.models / "ControlNet",
        Kind.UPSCALER: paths.models / "ESRGAN",
        Kind.APPROXIMATION: paths.models / "VAE-approx",
    }
    return folders[kind]


def guess_kind(path: Path) -> tuple[Kind | None, str]:
    """The kind that a whole safetensors file's tensors tell, and what it is in words.

    None where they tell nothing, or nothing that has a folder; `path` may still end in `.part`.
    Raises ModelError that says what is wrong, and what the file is instead.
    """
    named = path.with_name(path.name.removesuffix(".part"))
    with path.open("rb") as file:
        seems = _seems(file.read(64))
    if seems:
        raise ModelError(named, f"is not a safetensors file; {seems}")
    try:
        found = kind_of(open_tensors(path))
    except ModelError as error:
        raise ModelError(named, error.reason) from error
    known = {kind.value: kind for kind in Kind}
    return known.get(found.content.value), found.words


def _seems(start: bytes) -> str:
    """What the first bytes of a file look like that is certainly no model; "" if it may be one."""
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page: the address leads to a page about the file, or asks for a login."
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04")):
        return "it is a pickle or an archive, which may hold code."
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS, not the file."
    return ""
