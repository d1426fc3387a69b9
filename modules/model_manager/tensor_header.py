"""The headers of safetensors files: which tensors there are, where they lie, and the metadata.

Loads no torch and reads no tensor, so lists, cards and detection can use it.
Format: https://huggingface.co/docs/safetensors (8 bytes little-endian header length, JSON, data).
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from modules.core.errors import ModelError

HEADER_LIMIT: Final = 100_000_000
"""Bytes; the safetensors library refuses longer headers too."""

ITEM_SIZES: Final[Mapping[str, int]] = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
"""Bytes of one number, by the format's name in the header."""

_METADATA_START: Final = b'{"__metadata__":'


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one tensor lies: `start` and `end` are byte offsets from the beginning of `path`."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TensorFile:
    """The header of one safetensors file, or of several that belong together."""

    path: Path
    """What messages name: the file, or the index of a sharded set."""
    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of tensor `name`; KeyError where the file lacks it."""
        return self.entries[name].shape

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def under(self, prefix: str) -> dict[str, tuple[int, ...]]:
        """Shapes of all tensors whose names begin with `prefix`, the prefix cut off."""
        return {
            name[len(prefix) :]: entry.shape
            for name, entry in self.entries.items()
            if name.startswith(prefix)
        }


def open_tensors(path: Path) -> TensorFile:
    """Read and check the header of a `.safetensors` file; ModelError says what is wrong with it."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header, data_start = _read_header(path, file, size)
    except OSError as error:
        raise ModelError(path, f"cannot be read ({error.strerror or error}).") from error
    metadata = header.pop("__metadata__", None) or {}
    entries = {name: _entry(path, name, row, data_start) for name, row in header.items()}
    needed = max((entry.end for entry in entries.values()), default=0)
    if needed > size:
        raise ModelError(path, f"is truncated: it should have {needed} bytes and has {size}.")
    return TensorFile(path, entries, metadata if isinstance(metadata, dict) else {})


def open_sharded(index: Path) -> TensorFile:
    """Read a diffusers `*.safetensors.index.json` and the headers of all files that it names."""
    try:
        names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(index, f"is not an index of safetensors files ({error}).") from error
    entries: dict[str, Entry] = {}
    for name in sorted(names):
        entries |= open_tensors(index.parent / Path(name).name).entries
    return TensorFile(index, entries, {})


def read_metadata(path: Path) -> dict[str, str]:
    """The `__metadata__` of a safetensors file: kohya's `ss_*`, ModelSpec's `modelspec.*`, ….

    Parses no more of the header than it must. Raises ModelError where the file is damaged.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            text = _read_header_text(path, file, size)
    except OSError as error:
        raise ModelError(path, f"cannot be read ({error.strerror or error}).") from error
    try:
        if text.startswith(_METADATA_START):  # where the safetensors library writes it
            metadata, _ = json.JSONDecoder().raw_decode(
                text[len(_METADATA_START) :].decode("utf-8").lstrip()
            )
        else:
            metadata = json.loads(text).get("__metadata__", {})
    except (ValueError, AttributeError) as error:
        raise ModelError(path, "is not a safetensors file: its header is not JSON.") from error
    return {str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {}


def _read_header(path: Path, file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The header and where the data begins, in bytes."""
    text = _read_header_text(path, file, size)
    try:
        header = json.loads(text)
    except ValueError as error:
        raise ModelError(path, "is not a safetensors file: its header is not JSON.") from error
    if not isinstance(header, dict):
        raise ModelError(path, "is not a safetensors file: its header is not a JSON object.")
    return header, 8 + len(text)


def _read_header_text(path: Path, file: BinaryIO, size: int) -> bytes:
    if size == 0:
        raise ModelError(path, "is empty (0 bytes).")
    start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    # A whole file's length may begin with these bytes too: 0x80 in every 32nd file.
    is_pickle = length > size - 8 and start.startswith((b"PK", b"\x80"))
    if size < 10 or length < 2 or is_pickle:
        raise ModelError(path, "is not a safetensors file.")
    if length > size - 8:
        raise ModelError(
            path,
            f"is not a whole safetensors file: its header should take {length} bytes, "
            f"and the file has {size}.",
        )
    if length > HEADER_LIMIT:
        raise ModelError(path, f"has a header of {length} bytes; {HEADER_LIMIT} are allowed.")
    return file.read(length)


def _entry(path: Path, name: str, row: Any, data_start: int) -> Entry:
    try:
        dtype = str(row["dtype"])
        shape = tuple(int(size) for size in row["shape"])
        start, end = (int(offset) for offset in row["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(path, f"has a damaged header (at {name}).") from error
    if dtype not in ITEM_SIZES:
        raise ModelError(path, f"holds {name} in the unknown format {dtype}.")
    if start < 0 or math.prod(shape) * ITEM_SIZES[dtype] != end - start:
        raise ModelError(path, f"has a damaged header ({name} does not fit its bytes).")
    return Entry(path, dtype, shape, data_start + start, data_start + end)
