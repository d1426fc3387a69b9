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
        self._wanted: queue.Queue[Path | None] = queue.Queue()
        self._pending: dict[Path, Future[str | None]] = {}
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def known(self, path: Path, stamp: Stamp) -> str | None:
        """The SHA-256 in hex, where it is known for this content."""
        with self._lock:
            entry = self._known.get(str(path))
        return entry[1] if entry is not None and entry[0] == stamp else None

    def request(self, path: Path) -> Future[str | None]:
        """Compute the hash in the background; the future's None means that there is none.

        There is none where hashing is off, the path is a folder, or the file cannot be read.
        """
        future: Future[str | None] = Future()
        if not self._enabled or not path.is_file():
            future.set_result(None)
            return future
        with contextlib.suppress(OSError):
            found = self.known(path, stamp_of(path))
            if found is not None:
                future.set_result(found)
                return future
        with self._lock:
            if path in self._pending:
                return self._pending[path]
            self._pending[path] = future
            self._wanted.put(path)
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
        while (path := self._wanted.get()) is not None:
            result: str | None = None
            try:
                result = self._compute(path)
            except OSError as error:
                log.warning("Cannot hash %s: %s", path.name, error)
            with self._lock:
                future = self._pending.pop(path, None)
            if future is not None:
                future.set_result(result)

    def _compute(self, path: Path) -> str | None:
        stamp = stamp_of(path)
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                if self._stopping.is_set():
                    return None
                digest.update(block)
        with self._lock:
            self._known[str(path)] = (stamp, digest.hexdigest())
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
