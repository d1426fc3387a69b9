"""Safetensors files read by hand: the header first, then each tensor straight into its place.

Reading (and not mapping) means that a file may be deleted, truncated or lie on a slow network
share while its model is in use, and that the peak memory of a load is the model plus one tensor.
Knows the safetensors format; knows nothing of what the tensors mean.
Format: https://huggingface.co/docs/safetensors (8 bytes little-endian header length, JSON, data).
"""

from __future__ import annotations

import itertools
import json
import math
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

import torch

from modules.core.errors import ModelError

Progress = Callable[[float], None]
"""Called with the fraction 0..1 of a load that is done; from the loading thread."""

HEADER_LIMIT = 100_000_000
"""Bytes; the safetensors library refuses longer headers too."""

DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


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


def read_tensors(
    file: TensorFile,
    names: Iterable[str],
    device: torch.device,
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
) -> dict[str, torch.Tensor]:
    """Read `names` in the order in which they lie on the disk.

    Floating tensors become `dtype` (their own where None), integers stay; all lie on `device`.
    Raises ModelError where the file ends early or has gone.
    """
    wanted = sorted(((file.entries[name], name) for name in names), key=_disk_order)
    total = sum(entry.end - entry.start for entry, _ in wanted) or 1
    done = 0
    result: dict[str, torch.Tensor] = {}
    staging = _Staging()
    try:
        for path, group in itertools.groupby(wanted, key=lambda item: item[0].path):
            with path.open("rb", buffering=0) as opened:
                for entry, name in group:
                    result[name] = _read(opened, entry, name, _Target(device, dtype), staging)
                    done += entry.end - entry.start
                    if progress is not None:
                        progress(done / total)
    except OSError as error:
        raise ModelError(file.path, f"cannot be read ({error.strerror or error}).") from error
    return result


@dataclass(frozen=True, slots=True)
class _Target:
    device: torch.device
    dtype: torch.dtype | None


class _Staging:
    """One buffer for all tensors that are changed on the way: fresh memory is what costs time."""

    def __init__(self) -> None:
        self._buffer = torch.empty(0, dtype=torch.uint8)

    def bytes(self, size: int) -> torch.Tensor:
        """The first `size` bytes (uint8); valid until the next call."""
        if len(self._buffer) < size:
            self._buffer = torch.empty(size, dtype=torch.uint8)
        return self._buffer[:size]


def _disk_order(item: tuple[Entry, str]) -> tuple[str, int]:
    return str(item[0].path), item[0].start


def _read(
    file: FileIO, entry: Entry, name: str, target: _Target, staging: _Staging
) -> torch.Tensor:
    stored = DTYPES[entry.dtype]
    is_cast = target.dtype is not None and stored.is_floating_point
    wanted = target.dtype if is_cast and target.dtype is not None else stored
    size = entry.end - entry.start
    if wanted == stored and target.device.type == "cpu":
        raw = torch.empty(size, dtype=torch.uint8)
        _fill(file, entry, name, raw)
        return raw.view(stored).reshape(entry.shape)
    raw = staging.bytes(size)
    _fill(file, entry, name, raw)
    return raw.view(stored).reshape(entry.shape).to(target.device, wanted)


def _fill(file: FileIO, entry: Entry, name: str, buffer: torch.Tensor) -> None:
    view = memoryview(buffer.numpy())  # type: ignore[arg-type]  # numpy arrays are buffers
    file.seek(entry.start)
    filled = 0
    while filled < len(view):
        count = file.readinto(view[filled:])
        if not count:
            raise ModelError(entry.path, f"ends inside the tensor {name}; the file is truncated.")
        filled += count


def _read_header(path: Path, file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The header and where the data begins, in bytes."""
    if size == 0:
        raise ModelError(path, "is empty (0 bytes).")
    start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if size < 10 or length < 2 or start[:2] == b"PK" or start[:1] == b"\x80":
        raise ModelError(path, "is not a safetensors file.")
    if length > size - 8:
        raise ModelError(
            path,
            f"is not a whole safetensors file: its header should take {length} bytes, "
            f"and the file has {size}.",
        )
    if length > HEADER_LIMIT:
        raise ModelError(path, f"has a header of {length} bytes; {HEADER_LIMIT} are allowed.")
    try:
        header = json.loads(file.read(length))
    except ValueError as error:
        raise ModelError(path, "is not a safetensors file: its header is not JSON.") from error
    if not isinstance(header, dict):
        raise ModelError(path, "is not a safetensors file: its header is not a JSON object.")
    return header, 8 + length


def _entry(path: Path, name: str, row: Any, data_start: int) -> Entry:
    try:
        dtype = str(row["dtype"])
        shape = tuple(int(size) for size in row["shape"])
        start, end = (int(offset) for offset in row["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(path, f"has a damaged header (at {name}).") from error
    if dtype not in DTYPES:
        raise ModelError(path, f"holds {name} in the unknown format {dtype}.")
    if start < 0 or math.prod(shape) * DTYPES[dtype].itemsize != end - start:
        raise ModelError(path, f"has a damaged header ({name} does not fit its bytes).")
    return Entry(path, dtype, shape, data_start + start, data_start + end)
