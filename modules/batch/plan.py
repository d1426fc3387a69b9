"""What a batch works on: pictures of a folder or uploads, their masks, the names of the results."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.core.errors import BadInput

PICTURES: Final = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff")
)


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a batch."""

    source: Path
    name: str
    """File name of the result without its extension; different for each item."""
    mask: Path | None = None


def list_pictures(folder: Path, field: str) -> list[Path]:
    """The pictures of a folder, without sub-folders, in the order that people expect.

    Raises BadInput naming `field` for what is no folder, cannot be read, or holds no picture.
    """
    try:
        found = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in PICTURES and not path.name.startswith(".") and path.is_file()
        ]
    except OSError as error:
        raise BadInput(field, str(folder), "an existing folder is needed") from error
    if not found:
        raise BadInput(field, str(folder), "there is no picture in this folder")
    return sorted(found, key=_natural)


def plan_items(
    sources: Sequence[Path], masks: Sequence[Path] | None, names: Iterable[str] | None = None
) -> list[Item]:
    """An item for each source. masks: None without masks; names: of the files as people know
    them, where the sources' own are others."""
    shown = [Path(name) for name in names] if names is not None else list(sources)
    stems = Counter(path.stem for path in shown)
    return [
        Item(
            source,
            path.stem if stems[path.stem] == 1 else f"{path.stem}-{path.suffix[1:]}",
            find_masks(masks, path.stem) if masks is not None else None,
        )
        for source, path in zip(sources, shown, strict=True)
    ]


def find_masks(masks: Sequence[Path], stem: str) -> Path | None:
    """The mask of a picture: the only one there is, or the one of its name; None without one.

    >>> find_masks([Path("a.png"), Path("b.png")], "b")
    PosixPath('b.png')
    """
    if len(masks) == 1:
        return masks[0]
    return next((mask for mask in masks if mask.stem == stem), None)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Numbers count as numbers: a2 comes before a10."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
