"""Which files of a repository make a model in the layout of diffusers, for each variant of it.

Only what Easel reads: configurations, vocabularies, and one set of weights per network, which is
safetensors, or pickles where these are allowed and there is nothing else. The layout and its names
are those that diffusers saves (`save_pretrained`). Knows names, no contents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from modules.downloads.hub import HubFile
from modules.downloads.kinds import SAFE
from modules.downloads.source import File, Folder, safe_stem
from modules.model_manager.check import ALLOW_PICKLES
from modules.model_manager.folder_files import NETWORKS, PICKLED_STEMS

INDEX: Final = "model_index.json"
NAME: Final = "diffusers"
"""How such a folder is called among the files of its repository."""
_ENCODERS: Final = ("text_encoder", "text_encoder_2")
_PARTS: Final = (*NETWORKS, "tokenizer", "tokenizer_2", "scheduler")
_PATH: Final = re.compile(r"([a-z0-9_]+)/([A-Za-z0-9_][\w.-]*)", re.ASCII)
_WEIGHTS: Final = re.compile(
    r"""(?P<stem>[A-Za-z0-9_]+)
        (\.(?P<variant>\w+))?
        (-(?P<shard>\d{5})-of-(?P<shards>\d{5}))?
        (\.(?P<variant_2>\w+))?
        \.(?P<ending>safetensors|bin)
        (?P<index>\.index(\.(?P<variant_3>\w+))?\.json)?""",
    re.VERBOSE | re.ASCII,
)
"""`model.safetensors`, `model.fp16.safetensors`, `model-00001-of-00002.safetensors`, and so on."""


@dataclass(slots=True)
class _Weights:
    """One variant of a network's weights."""

    whole: HubFile | None = None
    index: HubFile | None = None
    shards: list[HubFile] = field(default_factory=list)
    needed: int = 0

    @property
    def files(self) -> list[HubFile]:
        """The whole file, or the index and every shard; empty where one of them is missing."""
        if self.whole:
            return [self.whole]
        is_complete = self.index and self.needed and len(self.shards) == self.needed
        return [self.index, *self.shards] if self.index and is_complete else []


def folders_of(
    repository: str,
    files: Iterable[HubFile],
    url_of: Callable[[str], str],
    *,
    pickles: bool = False,
) -> tuple[Folder, ...]:
    """The models in the layout of diffusers that a repository offers, the full precision first.

    Empty where it has none that Easel could read; `what_lacks` says why. There is one for each
    variant of the unet; a network that lacks the variant gives what it has. `pickles`: whether a
    network without safetensors gives its `.bin` files.
    """
    rows = {row.path: row for row in files}
    if what_lacks(rows, pickles=pickles):
        return ()
    name = safe_stem(repository.rpartition("/")[2].strip(". ")) or "model"
    weights = {part: _weights(part, rows.values(), pickles) for part in NETWORKS}
    rest = [row for row in rows.values() if _is_read(row.path)]
    made = []
    for variant in sorted(weights["unet"], key=_rank):
        chosen = [row for part in weights.values() for row in _choose(part, variant)]
        listed = tuple(_file(row, url_of) for row in (*rest, *chosen))
        ending = f".{variant}" if variant else ""
        made.append(Folder(NAME + ending, name + ending.replace(".", "-"), listed))
    return tuple(made)


def what_lacks(paths: Iterable[str], *, pickles: bool = False) -> str:
    """Why the files of a repository are no model in this layout that Easel reads; "" if they are.

    >>> what_lacks(["a.safetensors"])
    'there is no model_index.json'
    """
    there = set(paths)
    if INDEX not in there:
        return f"there is no {INDEX}"
    if "unet/config.json" not in there or "vae/config.json" not in there:
        return "it has no unet and vae of Stable Diffusion"
    if part := _lacking(there, pickles=True):
        return f"its {part} has no whole {'.safetensors or .bin' if pickles else SAFE} weights"
    if not pickles and (part := _lacking(there, pickles=False)):
        return (
            f"its {part} has only .bin weights; a .bin file may run code when it is loaded, and "
            "is only taken when pickles are allowed "
            f"({ALLOW_PICKLES} in config.json, or --allow-pickle)"
        )
    return ""


def _lacking(paths: Collection[str], *, pickles: bool) -> str:
    """The first network without weights that there should be; "" where all have some."""
    rows = [HubFile(path, None, None, None) for path in paths]
    lacking = [part for part in NETWORKS if not _weights(part, rows, pickles)]
    if all(part in lacking for part in _ENCODERS):
        return "text_encoder"
    stated = [part for part in lacking if part not in _ENCODERS or f"{part}/config.json" in paths]
    return next(iter(stated), "")


def _weights(part: str, rows: Iterable[HubFile], pickles: bool) -> Mapping[str, _Weights]:
    """The complete variants of a network's weights; "" is the one without a name."""
    inner = [row for row in rows if row.path.startswith(f"{part}/")]
    return _complete(inner, "safetensors") or (_complete(inner, "bin") if pickles else {})


def _complete(rows: Iterable[HubFile], ending: str) -> Mapping[str, _Weights]:
    found: dict[str, _Weights] = {}
    for row in rows:
        match = _WEIGHTS.fullmatch(row.path.partition("/")[2])
        if not match or match["ending"] != ending:
            continue
        if ending == "bin" and match["stem"] not in PICKLED_STEMS:
            continue
        named = match["variant"] or match["variant_2"] or match["variant_3"] or ""
        one = found.setdefault(named, _Weights())
        if match["index"]:
            one.index = row
        elif match["shard"]:
            one.shards.append(row)
            one.needed = int(match["shards"])
        else:
            one.whole = row
    return {name: one for name, one in found.items() if one.files}


def _choose(variants: Mapping[str, _Weights], wanted: str) -> Sequence[HubFile]:
    """The wanted variant of a network, or the nearest that it has."""
    if not variants:
        return ()
    name = wanted if wanted in variants else min(variants, key=_rank)
    return variants[name].files


def _rank(variant: str) -> tuple[int, str]:
    """Full precision, then half, then what else there is."""
    return ({"": 0, "fp16": 1}.get(variant, 2), variant)


def _is_read(path: str) -> bool:
    """Whether it is a configuration or a vocabulary; never weights, nor code."""
    if path == INDEX:
        return True
    match = _PATH.fullmatch(path)
    if not match or match[1] not in _PARTS or _WEIGHTS.fullmatch(match[2]):
        return False
    return match[2].endswith((".json", ".txt")) and ".index." not in match[2]


def _file(row: HubFile, url_of: Callable[[str], str]) -> File:
    blob_id = None if row.sha256 else row.blob_id
    return File(row.path, url_of(row.path), row.path, row.size, row.sha256, blob_id)
