"""The tensors of safetensors files, read each straight into its place.

Reading (and not mapping) means that a file may be deleted, truncated or lie on a slow network
share while its model is in use (but for a moment after a LoRA is first put on: `origin.py`), and
that the peak memory of a load is the model plus one tensor.
Knows the safetensors format; knows nothing of what the tensors mean.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import mmap
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import torch

from modules.core.errors import ModelError
from modules.model_manager.side_by_side import side_by_side
from modules.model_manager.tensor_header import Entry, TensorFile, open_sharded, open_tensors

log = logging.getLogger(__name__)

__all__ = [
    "Entry",
    "FileStamp",
    "Formats",
    "Loaded",
    "OnRead",
    "Progress",
    "Reader",
    "Row",
    "TensorFile",
    "huge_pages",
    "is_as_stamped",
    "open_sharded",
    "open_tensors",
    "read_tensors",
    "stamp_of_open",
]

Formats = Callable[[str, Entry], torch.dtype | None]
"""Tells the format that a tensor gets, by its name and entry; None: its own."""

Progress = Callable[[float], None]
"""Called with the fraction 0..1 of a load that is done; from the loading thread."""

FileStamp = tuple[int, int, int, int]
"""Size, time of its last change in ns, number, and time of its state's last change of a file."""

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
    on_read: OnRead | None = None,
) -> dict[str, torch.Tensor]:
    """Read `names` in the order in which they lie on the disk.

    Floating tensors become `dtype` (their own where None), integers stay; all lie on `device`.
    Values that are no numbers are kept, and a warning names their tensors. `on_read` hears where
    the tensors lie, if that is in RAM. Raises ModelError where the file ends early or has gone.
    """
    rows = [_row(name, file.entries[name], dtype) for name in names]
    rows.sort(key=lambda row: (str(row.entry.path), row.entry.start))
    work = _Work(device, _memory(rows) if device.type == "cpu" else {}, _Sum(rows, progress))
    try:
        if device.type == "cpu":
            parts = side_by_side(work.read, _shares(rows, _THREADS), _THREADS)
        else:
            parts = [work.read(rows)]
    except OSError as error:
        raise ModelError(file.path, f"cannot be read ({error.strerror or error}).") from error
    result = {name: tensor for part in parts for name, tensor in part.tensors.items()}
    _warn_of(file.path, [name for part in parts for name in part.unusable])
    if on_read is not None and work.places:
        stamps = {stamp for part in parts for stamp in part.stamps.items()}
        if len(stamps) == len({path for path, _ in stamps}):  # no file changed meanwhile
            on_read(Loaded(rows, work.places, dict(stamps)))
    return result


_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)
_THREADS = min(4, os.cpu_count() or 1)
"""That read and convert side by side; memory is not faster for more."""
_CHUNK = 128 << 10
"""Numbers read at a time: they fit into a processor's cache, and the calls for them cost little."""
_SHARE = 16 << 20
"""Bytes; less is not worth a thread."""
_HUGE = 1 << 20
"""Bytes; smaller blocks gain nothing from huge pages."""
_READ_LIMIT = 1 << 30
"""Bytes; the system reads at most 2 GiB at once."""
_ALIGNMENT = 64
"""Bytes; a cache line."""


@dataclass(frozen=True, slots=True)
class Row:
    """One tensor to be read, and the format that it gets."""

    name: str
    entry: Entry
    stored: torch.dtype
    wanted: torch.dtype

    @property
    def bytes(self) -> int:
        """Bytes that it takes in the file."""
        return self.entry.end - self.entry.start

    @property
    def size(self) -> int:
        """Bytes that it takes in memory."""
        return math.prod(self.entry.shape) * self.wanted.itemsize


def _row(name: str, entry: Entry, dtype: torch.dtype | Formats | None) -> Row:
    stored = DTYPES[entry.dtype]
    if callable(dtype):
        dtype = dtype(name, entry)
    is_cast = dtype is not None and stored.is_floating_point
    return Row(name, entry, stored, dtype if is_cast and dtype is not None else stored)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one reading put into RAM: each row's memory by name, and the files as they were."""

    rows: Sequence[Row]
    places: Mapping[str, torch.Tensor]
    stamps: Mapping[Path, FileStamp]


OnRead = Callable[[Loaded], None]


def stamp_of_open(file: FileIO) -> FileStamp:
    """Which file, and which state of it, is open."""
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns


def is_as_stamped(file: FileIO, stamp: FileStamp) -> bool:
    """Whether an open file is still what it was; it may have been deleted."""
    now = stamp_of_open(file)
    is_deleted = not os.fstat(file.fileno()).st_nlink  # which changes its state
    return now == stamp or (is_deleted and now[:3] == stamp[:3])


class _Sum:
    """Adds up what all threads have read, and tells it."""

    def __init__(self, rows: Sequence[Row], progress: Progress | None) -> None:
        self._total = sum(row.bytes for row in rows) or 1
        self._done = 0
        self._progress = progress
        self._lock = threading.Lock()

    def add(self, row: Row) -> None:
        """A tensor is there."""
        with self._lock:
            self._done += row.bytes
            if self._progress is not None:
                self._progress(self._done / self._total)


@dataclass(frozen=True, slots=True)
class _Part:
    """What one thread has read."""

    tensors: dict[str, torch.Tensor]
    unusable: list[str]
    stamps: dict[Path, FileStamp]


@dataclass(frozen=True, slots=True)
class _Work:
    """What the threads of one load share. `places`: memory for each tensor; empty: staged."""

    device: torch.device
    places: Mapping[str, torch.Tensor]
    done: _Sum

    def read(self, rows: Sequence[Row]) -> _Part:
        """Read some tensors, in order. Raises OSError, and ModelError for a short file."""
        reader, tensors, stamps = Reader(), {}, {}
        for path, group in itertools.groupby(rows, key=lambda row: row.entry.path):
            with path.open("rb", buffering=0) as opened:
                stamps[path] = stamp_of_open(opened)
                for row in group:
                    out = self.places[row.name] if self.places else reader.staging(row)
                    reader.read(opened, row, out)
                    tensors[row.name] = out.reshape(row.entry.shape).to(self.device)
                    self.done.add(row)
        return _Part(tensors, reader.unusable, stamps)


def _shares(rows: Sequence[Row], most: int) -> list[Sequence[Row]]:
    """The rows cut into at most so many runs of about the same number of bytes."""
    total = sum(row.bytes for row in rows)
    count = max(1, min(most, total // _SHARE))
    shares: list[list[Row]] = [[] for _ in range(count)]
    passed = 0
    for row in rows:
        shares[min(count - 1, passed * count // max(1, total))].append(row)
        passed += row.bytes
    return [share for share in shares if share]


class Reader:
    """Reads through small buffers that stay in the processor's cache."""

    def __init__(self) -> None:
        self._raw = torch.empty(_CHUNK * 8, dtype=torch.uint8)
        self._wide = torch.empty(_CHUNK, dtype=torch.float32)
        self._staging = torch.empty(0, dtype=torch.uint8)
        self.unusable: list[str] = []
        """Names of tensors that hold values that are no numbers."""

    def staging(self, row: Row) -> torch.Tensor:
        """Room on the CPU for one tensor that goes elsewhere; valid until the next call."""
        if len(self._staging) < row.size:
            self._staging = torch.empty(row.size, dtype=torch.uint8)
        return self._staging[: row.size].view(row.wanted)

    def read(self, file: FileIO, row: Row, out: torch.Tensor, first: int = 0) -> None:
        """Fill `out` (1-D, on the CPU, in the wanted format) with the tensor of `row`.

        `first` is the number of the tensor that goes to the beginning of `out`.
        """
        file.seek(row.entry.start + first * row.stored.itemsize)
        is_usable = True
        for start in range(0, len(out), _CHUNK):
            piece = out[start : start + _CHUNK]
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


def _memory(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """Uninitialised 1-D tensors on the CPU for all rows, in one piece of memory.

    One piece because it is given back to the system whole, when the last of its tensors dies;
    in huge pages because the system takes longer to hand out small ones than a disk to fill them.
    """
    places: list[int] = []
    end = 0
    for row in rows:
        places.append(end)
        end += -(-row.size // _ALIGNMENT) * _ALIGNMENT
    whole = huge_pages(end)
    return {
        row.name: whole[place : place + row.size].view(row.wanted)
        for row, place in zip(rows, places, strict=True)
    }


def huge_pages(size: int) -> torch.Tensor:
    """Uninitialised memory, (size,) uint8, in huge pages where it is large and the system can."""
    if size < _HUGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(size, dtype=torch.uint8)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8)


def _fill(file: FileIO, row: Row, buffer: torch.Tensor) -> None:
    view = memoryview(buffer.numpy())  # type: ignore[arg-type]  # numpy arrays are buffers
    filled = 0
    while filled < len(view):
        count = file.readinto(view[filled : filled + _READ_LIMIT])
        if not count:
            raise ModelError(
                row.entry.path, f"ends inside the tensor {row.name}; the file is truncated."
            )
        filled += count
