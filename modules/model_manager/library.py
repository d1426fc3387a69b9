"""What lies in the model folders, kind by kind, as cards and lists show it. Loads no torch.

Knows files, their names, times and what stands beside them; the weights it never reads.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from modules.core.errors import ModelError, NotFound
from modules.core.paths import Paths
from modules.model_manager.hashes import Stamp
from modules.model_manager.scan import Found, scan_all
from modules.model_manager.tensor_header import read_metadata

log = logging.getLogger(__name__)


class FileKind(StrEnum):
    """Kinds of model files that have a folder of their own."""

    CHECKPOINT = "checkpoint"
    VAE = "vae"
    LORA = "lora"
    EMBEDDING = "embedding"
    HYPERNETWORK = "hypernetwork"
    VAE_APPROX = "vae-approx"
    """Small stand-ins for VAEs (TAESD)."""
    UPSCALER = "upscaler"


_PICTURES: Final = frozenset({".png", ".webp"})
_ENDINGS: Final[Mapping[FileKind, frozenset[str]]] = {
    FileKind.CHECKPOINT: frozenset({".safetensors", ".ckpt"}),
    FileKind.VAE: frozenset({".safetensors", ".pt", ".ckpt"}),
    FileKind.LORA: frozenset({".safetensors", ".pt", ".ckpt"}),
    FileKind.EMBEDDING: frozenset({".safetensors", ".pt", ".bin"}) | _PICTURES,
    FileKind.HYPERNETWORK: frozenset({".safetensors", ".pt"}),
    FileKind.VAE_APPROX: frozenset({".safetensors", ".pth", ".pt"}),
    FileKind.UPSCALER: frozenset({".safetensors", ".pth", ".pt"}),
}
UPSCALER_FOLDERS: Final = (
    "ESRGAN",
    "RealESRGAN",
    "BSRGAN",
    "DAT",
    "HAT",
    "SwinIR",
    "ScuNET",
    "upscale_models",
)
"""Below the models folder; A1111's, and the one that others use. The first is where new ones go."""
_ALIAS: Final = "ss_output_name"
_IN_TAGS: Final = frozenset("<>:")
"""What a name in a tag cannot hold."""


@dataclass(frozen=True, slots=True)
class FileCard:
    """One model file (or diffusers folder) and what can be told without opening it."""

    kind: FileKind
    name: str
    """File name without ending; what prompts and lists call it."""
    relative: str
    """Path below its model folder, with `/` and ending; unique within the kind."""
    path: Path
    stamp: Stamp
    """Size in bytes and time of change; a diffusers folder's are its index's."""
    preview: Path | None
    """Picture beside it; None where there is none."""
    user_metadata_file: Path | None
    """`name.json` beside it, where there is one."""

    @property
    def folder(self) -> str:
        """Folder below the model folder, with `/`; "" at the top."""
        return self.relative.rpartition("/")[0]

    @property
    def is_hidden(self) -> bool:
        """Whether it lies in a folder whose name begins with a dot."""
        return any(part.startswith(".") for part in self.folder.split("/"))

    def user_metadata(self) -> dict[str, Any]:
        """What the user wrote of it, under A1111's keys; {} where that is nothing or damaged."""
        return read_user_metadata(self.path)

    def header_metadata(self) -> dict[str, str]:
        """What its maker wrote into the file (`ss_*`, `modelspec.*`); {} for other formats."""
        if self.path.suffix.lower() != ".safetensors" or self.path.is_dir():
            return {}
        try:
            return read_metadata(self.path)
        except ModelError as error:
            log.debug("%s", error)
            return {}

    def alias(self) -> str:
        """The name that a LoRA's maker gave it (`ss_output_name`); else its own."""
        return self.header_metadata().get(_ALIAS) or self.name


class Library:
    """Lists of files by kind. Safe to use from any thread; a kind is read when first asked for."""

    def __init__(self, folders: Mapping[FileKind, Sequence[Path]]) -> None:
        self._folders = {kind: tuple(folders.get(kind, ())) for kind in FileKind}
        self._lock = threading.Lock()
        self._files: dict[FileKind, tuple[FileCard, ...]] = {}
        self._alias_of: dict[tuple[Path, Stamp], str] = {}
        self._by_alias: tuple[tuple[FileCard, ...], dict[str, FileCard]] = ((), {})

    @classmethod
    def of(cls, paths: Paths) -> Library:
        """The library over the folders of one running Easel."""
        return cls(
            {
                FileKind.CHECKPOINT: paths.checkpoints,
                FileKind.VAE: paths.vaes,
                FileKind.LORA: paths.loras,
                FileKind.EMBEDDING: (paths.embeddings,),
                FileKind.HYPERNETWORK: (paths.hypernetworks,),
                FileKind.VAE_APPROX: (paths.models / "VAE-approx",),
                FileKind.UPSCALER: tuple(paths.models / name for name in UPSCALER_FOLDERS),
            }
        )

    def folders(self, kind: FileKind) -> tuple[Path, ...]:
        """Where files of a kind are looked for; the first is where new ones go."""
        return self._folders[kind]

    def files(self, kind: FileKind) -> tuple[FileCard, ...]:
        """All files of a kind, in natural order of their relative paths."""
        with self._lock:
            known = self._files.get(kind)
        return self.refresh(kind) if known is None else known

    def refresh(self, kind: FileKind) -> tuple[FileCard, ...]:
        """Read the folders of a kind again."""
        is_folder = kind is FileKind.CHECKPOINT
        found = scan_all(self._folders[kind], _ENDINGS[kind], folders=is_folder)
        if kind is FileKind.EMBEDDING:
            found = _without_previews(found)
        elif kind is FileKind.CHECKPOINT:
            found = [one for one in found if not is_vae_name(one.path.name)]
        cards = tuple(_card(kind, one) for one in found)
        with self._lock:
            self._files[kind] = cards
        return cards

    def find(self, kind: FileKind, name: str) -> FileCard:
        """The file of that relative path, name or full path, in this order. Raises NotFound."""
        files = self.files(kind)
        for field in ("relative", "name", "path"):
            for card in files:
                if str(getattr(card, field)) == name:
                    return card
        raise NotFound(kind.value, name, [card.name for card in files])

    def by_alias(self) -> Mapping[str, FileCard]:
        """LoRAs by the name that their maker gave them; a name that several have is none's.

        The first call reads the headers of all of them, later ones those of new files.
        """
        cards = self.files(FileKind.LORA)
        if self._by_alias[0] is not cards:
            known = self._alias_of
            aliases = [(known.get((one.path, one.stamp)) or one.alias(), one) for one in cards]
            self._alias_of = {(one.path, one.stamp): alias for alias, one in aliases}
            times = Counter(alias for alias, _ in aliases)
            single = {alias: one for alias, one in aliases if times[alias] == 1}
            self._by_alias = cards, single
        return self._by_alias[1]

    def preferred_name(self, card: FileCard) -> str:
        """The name by which prompts should call a LoRA: its maker's, where that is its alone."""
        alias = self._alias_of.get((card.path, card.stamp)) or card.alias()
        found = self.by_alias().get(alias)
        if set(alias) & _IN_TAGS or found is None or found.path != card.path:
            return card.name
        others = (one.name for one in self.files(FileKind.LORA) if one.path != card.path)
        return card.name if alias in others else alias


def read_user_metadata(path: Path) -> dict[str, Any]:
    """What the user wrote of the model file `path`, from `name.json` beside it.

    {} where there is none, or it is damaged (which is logged), or it is no JSON object.
    """
    file = user_metadata_path(path)
    try:
        values = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read: %s", file, error)
        return {}
    return values if isinstance(values, dict) else {}


def user_metadata_path(path: Path) -> Path:
    """Where the user's words on the model file or diffusers folder `path` belong."""
    return path.with_name(path.name + ".json") if path.is_dir() else path.with_suffix(".json")


def is_vae_name(name: str) -> bool:
    """Whether a file in a checkpoint folder is a checkpoint's VAE, by A1111's naming."""
    return name.lower().endswith((".vae.safetensors", ".vae.ckpt", ".vae.pt"))


def _card(kind: FileKind, found: Found) -> FileCard:
    name = found.relative.rpartition("/")[2]
    if found.path.suffix.lower() in _ENDINGS[kind]:
        name = name.rpartition(".")[0]
    return FileCard(
        kind=kind,
        name=name,
        relative=found.relative,
        path=found.path,
        stamp=found.stamp,
        preview=found.preview,
        user_metadata_file=found.user_metadata,
    )


def _without_previews(found: Sequence[Found]) -> list[Found]:
    """Embeddings: a picture is one only where it is not the preview of a file beside it."""
    models = {one.path.with_suffix("") for one in found if _is_model(one.path)}
    return [
        one
        for one in found
        if _is_model(one.path)
        or (one.path.with_suffix("") not in models and not one.path.stem.endswith(".preview"))
    ]


def _is_model(path: Path) -> bool:
    return path.suffix.lower() not in _PICTURES
