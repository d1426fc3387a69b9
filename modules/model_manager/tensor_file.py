"""The tensors of safetensors files, read each straight into its place.

Reading (and not mapping) means that a file may be deleted, truncated or lie on a slow network
share while its model is in use, and that the peak memory of a load is the model plus one tensor.
Knows the safetensors format; knows nothing of what the tensors mean.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import mmap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import torch

from modules.core.errors import ModelError
from modules.model_manager.tensor_header import Entry, TensorFile, open_sharded, open_tensors

log = logging.getLogger(__name__)

__all__ = [
    "Entry",
    "Formats",
    "Progress",
    "TensorFile",
    "open_sharded",
    "open_tensors",
    "read_tensors",
]

Formats = Callable[[str, Entry], torch.dtype | None]
"""Tells the format that a tensor gets, by its name and entry; None: its own."""

Progress = Callable[[float], None]
"""Called with the fraction 0..1 of a load that is done; from the loading thread."""

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


def read_tensors(
    file: TensorFile,
    names: Iterable[str],
    device: torch.device,
    dtype: torch.dtype | Formats | None = None,
    progress: Progress | None = None,
) -> dict[str, torch.Tensor]:
    """Read `names` in the order in which they lie on the disk.

    Floating tensors become `dtype` (their own where None), integers stay; all lie on `device`.
    Values that are no numbers are kept, and a warning names their tensors. Raises ModelError
    where the file ends early or has gone.
    """
    rows = [_row(name, file.entries[name], dtype) for name in names]
    rows.sort(key=lambda row: (str(row.entry.path), row.entry.start))
    total = sum(row.entry.end - row.entry.start for row in rows) or 1
    done = 0
    is_cpu = device.type == "cpu"
    places = _memory(rows) if is_cpu else {}
    result: dict[str, torch.Tensor] = {}
    reader = _Reader()
    try:
        for path, group in itertools.groupby(rows, key=lambda row: row.entry.path):
            with path.open("rb", buffering=0) as opened:
                for row in group:
                    out = places[row.name] if is_cpu else reader.staging(row)
                    reader.read(opened, row, out)
                    result[row.name] = out.reshape(row.entry.shape).to(device)
                    done += row.entry.end - row.entry.start
                    if progress is not None:
                        progress(done / total)
    except OSError as error:
        raise ModelError(file.path, f"cannot be read ({error.strerror or error}).") from error
    _warn_of(file.path, reader.unusable)
    return result


_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)
_CHUNK = 1 << 20
"""Bytes read at a time where they are converted; fits into a processor's cache."""
_READ_LIMIT = 1 << 30
"""Bytes; the system reads at most 2 GiB at once."""
_ALIGNMENT = 64
"""Bytes; a cache line."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One tensor to be read, and the format that it gets."""

    name: str
    entry: Entry
    stored: torch.dtype
    wanted: torch.dtype

    @property
    def size(self) -> int:
        """Bytes that it takes in memory."""
        return math.prod(self.entry.shape) * self.wanted.itemsize


def _row(name: str, entry: Entry, dtype: torch.dtype | Formats | None) -> _Row:
    stored = DTYPES[entry.dtype]
    if callable(dtype):
        dtype = dtype(name, entry)
    is_cast = dtype is not None and stored.is_floating_point
    return _Row(name, entry, stored, dtype if is_cast and dtype is not None else stored)


class _Reader:
    """Reads through small buffers that stay in the processor's cache."""

    def __init__(self) -> None:
        self._raw = torch.empty(_CHUNK, dtype=torch.uint8)
        self._wide = torch.empty(_CHUNK, dtype=torch.float32)
        self._staging = torch.empty(0, dtype=torch.uint8)
        self.unusable: list[str] = []
        """Names of tensors that hold values that are no numbers."""

    def staging(self, row: _Row) -> torch.Tensor:
        """Room on the CPU for one tensor that goes elsewhere; valid until the next call."""
        if len(self._staging) < row.size:
            self._staging = torch.empty(row.size, dtype=torch.uint8)
        return self._staging[: row.size].view(row.wanted)

    def read(self, file: FileIO, row: _Row, out: torch.Tensor) -> None:
        """Fill `out` (1-D, on the CPU, in the wanted format) with the tensor of `row`."""
        file.seek(row.entry.start)
        step = _CHUNK // row.stored.itemsize
        is_usable = True
        for start in range(0, len(out), step):
            piece = out[start : start + step]
            if row.wanted == row.stored:
                _fill(file, row, piece.view(torch.uint8))
            else:
                raw = self._raw[: len(piece) * row.stored.itemsize]
                _fill(file, row, raw)
                self._convert(raw.view(row.stored), piece)
            if piece.is_floating_point():
                is_usable &= self._is_finite(piece)
        if not is_usable:
            self.unusable.append(row.name)

    def _convert(self, source: torch.Tensor, out: torch.Tensor) -> None:
        """torch is slow from one short format to another, and fast by way of float32."""
        if source.dtype == torch.float32 and out.dtype not in _FLOAT8:
            out.copy_(source)
            return
        if out.dtype == torch.float32 or source.dtype == torch.float64:
            out.copy_(source)
            return
        wide = self._wide[: len(source)].copy_(source)
        if out.dtype in _FLOAT8:  # beyond its range lies not infinity but NaN
            limit = torch.finfo(out.dtype).max
            wide.clamp_(-limit, limit)
        out.copy_(wide)

    def _is_finite(self, piece: torch.Tensor) -> bool:
        """Whether all values are numbers: any other one spoils the sum."""
        if piece.dtype != torch.float32:
            piece = self._wide[: len(piece)].copy_(piece)
        return math.isfinite(piece.sum(dtype=torch.float32).item())


def _warn_of(path: Path, names: Sequence[str]) -> None:
    if names:
        shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
        log.warning(
            "%s holds values that are not numbers in %d tensors: %s", path.name, len(names), shown
        )


def _memory(rows: Sequence[_Row]) -> dict[str, torch.Tensor]:
    """Uninitialised 1-D tensors on the CPU for all rows, in one piece of memory.

    One piece because it is given back to the system whole, when the last of its tensors dies;
    in huge pages because the system takes longer to hand out small ones than a disk to fill them.
    """
    places: list[int] = []
    end = 0
    for row in rows:
        places.append(end)
        end += -(-row.size // _ALIGNMENT) * _ALIGNMENT
    whole = _huge_pages(end)
    return {
        row.name: whole[place : place + row.size].view(row.wanted)
        for row, place in zip(rows, places, strict=True)
    }


def _huge_pages(size: int) -> torch.Tensor:
    if size < _CHUNK or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(size, dtype=torch.uint8)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8)


def _fill(file: FileIO, row: _Row, buffer: torch.Tensor) -> None:
    view = memoryview(buffer.numpy())  # type: ignore[arg-type]  # numpy arrays are buffers
    filled = 0
    while filled < len(view):
        count = file.readinto(view[filled : filled + _READ_LIMIT])
        if not count:
            raise ModelError(
                row.entry.path, f"ends inside the tensor {row.name}; the file is truncated."
            )
        filled += count
