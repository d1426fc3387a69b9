"""What can be fetched, as values: files, whole folders, and the source that offers them.

Also the rule for names that are safe on every system. Asks nobody.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from modules.core.errors import BadInput, NotFound
from modules.downloads.kinds import PICKLES, SAFE, Kind

UNKNOWN_LICENCE: Final = "not stated; ask whoever offers the file"
_LONGEST_NAME: Final = 180
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class File:
    """One file that can be fetched."""

    name: str
    """How it is told from the others of its source: the path in the repository."""
    url: str
    saved_as: str
    """Its name, or its path below the folder that it belongs to."""
    size: int | None = None
    sha256: str | None = None
    blob_id: str | None = None
    """Git's checksum, which the hub states for small files instead."""

    @property
    def has_checksum(self) -> bool:
        """Whether a wrong file would be told from the right one."""
        return bool(self.sha256 or self.blob_id)


@dataclass(frozen=True, slots=True)
class Folder:
    """A model in the layout of diffusers that can be fetched as a whole."""

    name: str
    """`diffusers`, or `diffusers.fp16` for another variant of the weights."""
    saved_as: str
    files: tuple[File, ...]
    """`saved_as` of each is its path below the folder."""

    @property
    def size(self) -> int | None:
        """Bytes of all files, if all are known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def has_checksum(self) -> bool:
        """Whether all files have one."""
        return all(file.has_checksum for file in self.files)


Item = File | Folder


@dataclass(frozen=True, slots=True)
class Source:
    """What was found under a name or address."""

    asked: str
    title: str
    page: str
    """Where people can read about it."""
    licence: str
    files: tuple[Item, ...]
    """Folders before files; the first is what is meant by the source alone if it is a folder."""
    kind: Kind | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """May hold the user's token."""
    own_server: str = ""
    """See `Policy.own_server`."""

    def file(self, name: str | None) -> Item:
        """The one of that name; without a name the folder, or the only file.

        Raises NotFound that lists them.
        """
        if name is None and (len(self.files) == 1 or isinstance(self.files[0], Folder)):
            return self.files[0]
        for one in self.files:
            if name in (one.name, one.saved_as):
                return one
        raise NotFound(f"file of {self.title}", name, [one.name for one in self.files])


def safe_name(text: str, *, pickles: bool = False) -> str:
    """A file name that is safe on every system, from what a server or an address calls it.

    Raises BadInput where it has no ending of model files, or one of pickles.

    >>> safe_name("../../A%20 b:c?.safetensors"), safe_name("C:\\\\x\\\\y.safetensors")
    ('A b_c_.safetensors', 'y.safetensors')
    """
    name = unicodedata.normalize("NFC", unquote(text)).replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(sign for sign in name if unicodedata.category(sign)[0] != "C")
    name = re.sub(r"\s+", " ", re.sub(r'[<>:"|?*]', "_", name)).strip(" .")
    stem, dot, ending = name.rpartition(".")
    ending = f".{ending.lower()}"
    if ending in PICKLES and not pickles:
        raise BadInput("file", name, f"a {ending} file may run code when it is loaded, and is only "
                       "taken when pickles are allowed; look for a .safetensors file")  # fmt: skip
    if not dot or not stem.strip(" .") or ending not in (SAFE, *PICKLES):
        raise BadInput("file", name or text, "the name of a .safetensors file is expected")
    return safe_stem(stem) + ending


def safe_stem(stem: str) -> str:
    """A name without an ending that no system keeps for itself, and that is not too long.

    >>> safe_stem("con"), safe_stem("control")
    ('_con', 'control')
    """
    if _RESERVED.fullmatch(stem):
        stem = f"_{stem}"
    while len(stem.encode()) > _LONGEST_NAME:
        stem = stem[:-1]
    return stem.strip(" ")
