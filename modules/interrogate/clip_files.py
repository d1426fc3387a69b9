"""Which CLIP is taken: folders and files of `models/CLIP`, and what open_clip knows by name.

Nothing is ever downloaded. Only `.safetensors` are read. open_clip carries torch, so it is
imported where a name needs it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modules.core.errors import ModelError, NotFound

CONFIG: Final = "open_clip_config.json"
WEIGHTS: Final = "open_clip_model.safetensors"
_WEIGHTS_BY_PREFERENCE: Final = (
    WEIGHTS,
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
)
"""As open_clip chooses among several files of a folder."""


@dataclass(frozen=True, slots=True)
class ClipFiles:
    """One CLIP on the disk."""

    name: str
    weights: Path
    config: Path | None
    """Its `open_clip_config.json`; None: `architecture` is one that open_clip knows."""
    architecture: str = ""
    quick_gelu: bool = False
    """Whether weights of a known architecture were trained with QuickGELU."""
    preprocess: Mapping[str, Any] | None = None
    """Mean, deviation and so on of known weights; None: the configuration's, or OpenAI's."""

    @property
    def size_bytes(self) -> int:
        """Memory that it takes in float32, at most twice the file."""
        return 2 * self.weights.stat().st_size

    @property
    def key(self) -> str:
        """Changes whenever its file does."""
        stat = self.weights.stat()
        return f"{self.weights}|{stat.st_size}|{stat.st_mtime_ns}|{self.quick_gelu}"


def clip_names(folders: Iterable[Path]) -> list[str]:
    """What lies in the folders of CLIP models, by name, folder after folder."""
    return list(_places(folders))


def find_clip(folders: Sequence[Path], wanted: str, *, hub_cache: Path | None = None) -> ClipFiles:
    """The CLIP that `wanted` names: one of `clip_names`, or `ARCHITECTURE/TAG` of open_clip.

    "" is the first of `clip_names`. hub_cache: where the hub's files lie on this machine; None is
    the user's own. Raises ModelError where there is none, or its weights are not
    on this machine; NotFound for an unknown name.
    """
    places = _places(folders)
    if not wanted and not places:
        reason = f"there is no CLIP model. Put a folder with {CONFIG} and {WEIGHTS} into it"
        raise ModelError(folders[0], f"{reason} ({folders[0]}).")
    name = wanted or next(iter(places))
    if name in places:
        return _local(name, places[name])
    return _known(name, folders[0], places, hub_cache)


def _places(folders: Iterable[Path]) -> dict[str, Path]:
    """Folders and files with weights by name; an earlier folder hides a later one's."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if _weights_of(path) is not None:
                found.setdefault(path.stem if path.is_file() else path.name, path)
    return found


def _weights_of(path: Path) -> Path | None:
    """The weights in a folder, or the file itself where it holds weights."""
    if path.is_file():
        return path if path.suffix.lower() == ".safetensors" else None
    for name in _WEIGHTS_BY_PREFERENCE:
        if (path / name).is_file():
            return path / name
    return next(iter(sorted(path.glob("*.safetensors"))), None)


def _local(name: str, place: Path) -> ClipFiles:
    weights = _weights_of(place)
    assert weights is not None  # `_places` lists no others
    config = place / CONFIG
    if place.is_dir() and config.is_file():
        _check_config(config)
        return ClipFiles(name, weights, config)
    from open_clip import list_models  # carries torch

    if name not in list_models():
        reason = (
            f"there is no {CONFIG} beside it, and open_clip knows no architecture of this name."
        )
        raise ModelError(place, reason)
    return ClipFiles(name, weights, None, name)


def _check_config(config: Path) -> None:
    """Raise ModelError for what cannot be read, and for towers that would have to be fetched."""
    try:
        model = json.loads(config.read_text(encoding="utf-8"))["model_cfg"]
        text = dict(model["text_cfg"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(config, f"it does not describe a CLIP model ({error!r}).") from error
    if "hf_model_name" in text:
        name = text["hf_model_name"]
        raise ModelError(config, f"its text tower {name!r} would have to be fetched from a hub.")
    has_tokenizer = "hf_tokenizer_name" not in text or (config.parent / "tokenizer.json").is_file()
    if not has_tokenizer:
        raise ModelError(config, "its tokenizer is not beside it: tokenizer.json is needed.")


def _known(name: str, folder: Path, names: Iterable[str], hub_cache: Path | None) -> ClipFiles:
    """`ARCHITECTURE/TAG` whose weights the hub's cache of this machine holds."""
    from huggingface_hub import try_to_load_from_cache
    from open_clip import get_model_config, get_pretrained_cfg  # carries torch

    architecture, _, tag = name.partition("/")
    known = get_pretrained_cfg(architecture, tag) if tag else {}
    if not known:
        raise NotFound("CLIP model", name, names)
    text = (get_model_config(architecture) or {}).get("text_cfg", {})
    if "hf_model_name" in text or "hf_tokenizer_name" in text:
        raise ModelError(name, "its text tower or tokenizer would have to be fetched from a hub.")
    repository = str(known.get("hf_hub", "")).strip("/")
    found = None
    if repository:
        found = try_to_load_from_cache(repository, WEIGHTS, cache_dir=hub_cache)
    if not isinstance(found, str):
        where = f" from {repository}" if repository else ""
        raise ModelError(
            name,
            f"its weights are not on this machine, and Easel fetches none by itself. Put {WEIGHTS}"
            f"{where} into {folder / architecture}, and choose {architecture!r}.",
        )
    picked = {key: known[key] for key in ("mean", "std", "interpolation") if known.get(key)}
    is_quick = bool(known.get("quick_gelu"))
    return ClipFiles(name, Path(found), None, architecture, is_quick, picked)
