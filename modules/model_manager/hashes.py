"""SHA-256 of model files, computed in the background and remembered between runs.

A remembered hash holds as long as the file's size and time of change do. One worker thread reads
one file at a time, because two would only fight for the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import queue
import struct
import tempfile
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_BLOCK = 1 << 22
"""Bytes read at a time."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one content of a file from another without reading it."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A hash to be computed."""

    path: Path
    data_only: bool

    @property
    def key(self) -> str:
        """Its name in the cache."""
        return f"{self.path}#data" if self.data_only else str(self.path)


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file now. Raises OSError where it is gone."""
    stat = path.stat()
    return Stamp(stat.st_size, stat.st_mtime_ns)


class Hashes:
    """Known hashes, and the thread that finds the others. Safe to use from any thread."""

    def __init__(self, cache_file: Path, *, enabled: bool = True) -> None:
        """Read what `cache_file` remembers; with `enabled` False nothing is ever computed."""
        self._file = cache_file
        self._enabled = enabled
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Stamp, str]] = _read_cache(cache_file)
        self._wanted: queue.Queue[_Wanted | None] = queue.Queue()
        self._pending: dict[_Wanted, Future[str | None]] = {}
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._version = 0

    @property
    def version(self) -> int:
        """Grows with every hash that becomes known."""
        return self._version

    def known(self, path: Path, stamp: Stamp, *, data_only: bool = False) -> str | None:
        """The SHA-256 in hex, where it is known for this content."""
        with self._lock:
            entry = self._known.get(_Wanted(path, data_only).key)
        return entry[1] if entry is not None and entry[0] == stamp else None

    def request(self, path: Path, *, data_only: bool = False) -> Future[str | None]:
        """Compute the hash in the background; the future's None means that there is none.

        There is none where hashing is off, the path is a folder, or the file cannot be read.
        `data_only`: of a safetensors file, what follows its header (kohya's hash of LoRAs), so
        that a change of metadata leaves it alone.
        """
        wanted = _Wanted(path, data_only)
        future: Future[str | None] = Future()
        if not self._enabled or not path.is_file():
            future.set_result(None)
            return future
        with contextlib.suppress(OSError):
            found = self.known(path, stamp_of(path), data_only=data_only)
            if found is not None:
                future.set_result(found)
                return future
        with self._lock:
            if wanted in self._pending:
                return self._pending[wanted]
            self._pending[wanted] = future
            self._wanted.put(wanted)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="hashes", daemon=True)
                self._thread.start()
        return future

    def close(self) -> None:
        """Stop the thread; hashes asked for but not found yet are None."""
        self._stopping.set()
        self._wanted.put(None)
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            for future in self._pending.values():
                future.set_result(None)
            self._pending.clear()

    def _work(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            result: str | None = None
            try:
                result = self._compute(wanted)
            except (OSError, OverflowError) as error:  # Overflow: a damaged header's length
                log.warning("Cannot hash %s: %s", wanted.path.name, error)
            with self._lock:
                future = self._pending.pop(wanted, None)
            if future is not None:
                future.set_result(result)

    def _compute(self, wanted: _Wanted) -> str | None:
        stamp = stamp_of(wanted.path)
        digest = hashlib.sha256()
        with wanted.path.open("rb", buffering=0) as file:
            if wanted.data_only:
                start = file.read(8)
                file.seek(8 + struct.unpack("<Q", start)[0] if len(start) == 8 else 0)
            while block := file.read(_BLOCK):
                if self._stopping.is_set():
                    return None
                digest.update(block)
        with self._lock:
            self._known[wanted.key] = (stamp, digest.hexdigest())
            self._version += 1
            remembered = dict(self._known)
        _write_cache(self._file, remembered)
        return digest.hexdigest()


def _read_cache(file: Path) -> dict[str, tuple[Stamp, str]]:
    """What the file holds; a missing or damaged one holds nothing, it can be made again."""
    try:
        rows = json.loads(file.read_text("utf-8"))
        return {
            path: (Stamp(int(row["size"]), int(row["mtime_ns"])), str(row["sha256"]))
            for path, row in rows.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("The cache of hashes %s is not readable (%s); it starts anew.", file, error)
        return {}


def _write_cache(file: Path, known: dict[str, tuple[Stamp, str]]) -> None:
    rows = {
        path: {"size": stamp.size, "mtime_ns": stamp.mtime_ns, "sha256": sha256}
        for path, (stamp, sha256) in known.items()
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=file.name, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(rows, out, indent=1)
        Path(name).replace(file)
    except OSError as error:
        log.warning("Cannot remember hashes in %s: %s", file, error)
