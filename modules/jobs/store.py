"""Where the queue writes down its jobs: SQLite, one file, one program at a time.

Knows rows, not what they mean. The file survives kill -9 and a power cut: write-ahead log, and
each commit on the disk before it counts (synchronous=FULL). The connection locks the file for as
long as the program lives, so that no second program can run the same jobs; the operating system
drops the lock whatever way the program ends.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Protocol

from modules.jobs.owner import forget_owner, note_owner, owner_of

log = logging.getLogger(__name__)

Value = str | int | float | None
Statement = tuple[str, tuple[Value, ...]]

SCHEMA_VERSION: Final = 1
KEPT_ROWS: Final = 200
KEPT_S: Final = 14 * 24 * 3600.0
OTHER_ENDS_S: Final = 2.0
"""How long to wait for a program that has the file and is just ending."""
LOG_BYTES: Final = 16 << 20
"""Size to which the write-ahead log is cut back after a large request."""
OWED: Final = 1000
"""Most changes that are made up for when a full disk takes more again."""
IN_USE_TEXT: Final = (
    "%s is in use by %s. This one keeps its own queue in memory: its jobs will not survive a"
    " restart. To keep both, give each a folder with --data-dir."
)
_BROKEN: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Row:
    """One job as it is written down; times in seconds since 1970."""

    number: int
    id: str
    place: int
    kind: str
    user: str
    request: str
    """JSON of the Request; without its pictures once the job is over."""
    state: str
    created: float
    attempt: int = 1
    crashes: int = 0
    """How often the program ended, without being asked to, while the job ran."""
    is_stopped: int = 0
    """1: the user asked to stop it while it ran."""
    started: float | None = None
    finished: float | None = None
    error: str | None = None
    outcome: str | None = None
    """JSON of the Outcome."""


COLUMNS: Final = tuple(field.name for field in fields(Row))

_SCHEMA: Final = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, place INTEGER NOT NULL, kind TEXT NOT NULL,
    user TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL,
    attempt INTEGER NOT NULL, crashes INTEGER NOT NULL, is_stopped INTEGER NOT NULL,
    started REAL, finished REAL, error TEXT, outcome TEXT
)
"""


class Store(Protocol):
    """Keeps rows. Writing never raises: a queue that cannot be kept goes on all the same."""

    @property
    def keeps(self) -> bool:
        """Whether what is written here is there after a restart."""

    def load(self) -> list[Row]:
        """All rows, in the order of their places."""

    def add(self, row: Row) -> None:
        """Write down a new job."""

    def update(self, number: int, changes: Mapping[str, Value]) -> None:
        """Change columns of one job."""

    def finish(self, number: int, changes: Mapping[str, Value], now: float) -> None:
        """Change columns of one job that is over, and prune."""

    def reorder(self, places: Mapping[int, int]) -> None:
        """Give jobs, by number, other places, all at once."""

    def prune(self, now: float) -> None:
        """Drop finished jobs that are older than two weeks, and all but the newest 200."""

    def close(self) -> None:
        """Let another program have the file."""


class NoStore:
    """Keeps nothing: of the command line, of tests, and where the disk cannot be written."""

    keeps = False

    def load(self) -> list[Row]:
        """Nothing."""
        return []

    def add(self, row: Row) -> None: ...

    def update(self, number: int, changes: Mapping[str, Value]) -> None: ...

    def finish(self, number: int, changes: Mapping[str, Value], now: float) -> None: ...

    def reorder(self, places: Mapping[int, int]) -> None: ...

    def prune(self, now: float) -> None: ...

    def close(self) -> None: ...


def open_store(path: Path) -> Store:
    """The rows in this file.

    A broken file is set aside and a new one begun. Where no file can be had, because another
    program has it or the disk refuses, nothing is kept. Either way a warning is logged, which
    names that program.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return SqliteStore(path)
        except sqlite3.DatabaseError as error:
            if not _is_broken(error):
                raise
            aside = _set_aside(path)
            log.warning("%s is broken (%s); set aside as %s", path, error, aside.name)
            return SqliteStore(path)
    except (sqlite3.Error, OSError, NewerSchema) as error:
        if _is_busy(error):
            log.warning(IN_USE_TEXT, path, owner_of(path))
        else:
            text = "The queue cannot be kept in %s (%s): jobs will not survive a restart."
            log.warning(text, path, error)
        return NoStore()


def _is_busy(error: Exception) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _is_broken(error: sqlite3.Error) -> bool:
    """Whether the file itself is bad; a disk that is full or read-only is another matter."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN


def _set_aside(path: Path) -> Path:
    """Rename the file and its log; returns the new name."""
    ending = time.strftime(".broken-%Y%m%d-%H%M%S")
    for suffix in _SUFFIXES:
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.replace(path.with_name(path.name + ending + suffix))
    return path.with_name(path.name + ending)


class NewerSchema(Exception):
    """The file was written by a later version; it is left as it is."""


class SqliteStore:
    """Rows in one SQLite file that nobody else may open meanwhile."""

    keeps = True

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.Error where the file cannot be used, NewerSchema."""
        self._path = path
        self._lock = threading.Lock()
        self._is_failing = False
        self._owed: list[Statement] = []
        """Changes that the disk did not take: made up for with the next write."""
        self._connection = sqlite3.connect(
            path, timeout=OTHER_ENDS_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise
        note_owner(path)

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA auto_vacuum = FULL")  # pictures of finished jobs give their space back
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        execute("BEGIN EXCLUSIVE")  # from here on the file is ours
        version = execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise NewerSchema(f"a newer Easel wrote it: schema {version}, known {SCHEMA_VERSION}")
        if version == 0:
            execute(_SCHEMA)
            execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        execute("COMMIT")
        if (found := execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            broken = sqlite3.DatabaseError(found)
            broken.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise broken
        execute(f"SELECT {', '.join(COLUMNS)} FROM jobs LIMIT 1")

    def load(self) -> list[Row]:
        """All rows, in the order of their places."""
        query = f"SELECT {', '.join(COLUMNS)} FROM jobs ORDER BY place, number"
        with self._lock:
            return [Row(*values) for values in self._connection.execute(query)]

    def add(self, row: Row) -> None:
        """Write down a new job."""
        marks = ", ".join("?" * len(COLUMNS))
        values = tuple(getattr(row, name) for name in COLUMNS)
        self._write((f"INSERT INTO jobs ({', '.join(COLUMNS)}) VALUES ({marks})", values))

    def update(self, number: int, changes: Mapping[str, Value]) -> None:
        """Change columns of one job."""
        self._write(_update(number, changes))

    def finish(self, number: int, changes: Mapping[str, Value], now: float) -> None:
        """Change columns of one job that is over, and prune."""
        self._write(_update(number, changes), *_prune(now))

    def reorder(self, places: Mapping[int, int]) -> None:
        """Give jobs, by number, other places, all at once."""
        self._write(
            *(
                ("UPDATE jobs SET place = ? WHERE number = ?", (place, number))
                for number, place in places.items()
            )
        )

    def prune(self, now: float) -> None:
        """Drop finished jobs that are older than two weeks, and all but the newest 200."""
        self._write(*_prune(now))

    def close(self) -> None:
        """Let another program have the file."""
        with self._lock:
            forget_owner(self._path)
            self._connection.close()

    def _write(self, *statements: Statement) -> None:
        """All of the statements or none."""
        with self._lock:
            batch = [*self._owed, *statements]
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                for sql, values in batch:
                    self._connection.execute(sql, values)
                self._connection.execute("COMMIT")
            except (sqlite3.Error, ValueError, OverflowError) as error:
                self._roll_back()
                if isinstance(error, sqlite3.OperationalError):  # not the values' own fault
                    self._owed = [one for one in batch if one[0].startswith("UPDATE")][-OWED:]
                self._complain(error)
            else:
                self._owed, self._is_failing = [], False

    def _complain(self, error: Exception) -> None:
        """Once, until the disk has taken something again."""
        if not self._is_failing:
            text = "%s cannot be written (%s): jobs may not survive a restart."
            log.warning(text, self._path, error)
        self._is_failing = True

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            log.debug("No rollback: %s", error)


def _update(number: int, changes: Mapping[str, Value]) -> Statement:
    columns = ", ".join(f"{name} = ?" for name in changes)
    return f"UPDATE jobs SET {columns} WHERE number = ?", (*changes.values(), number)


def _prune(now: float) -> tuple[Statement, ...]:
    newest = "SELECT number FROM jobs WHERE finished IS NOT NULL ORDER BY finished DESC"
    return (
        ("DELETE FROM jobs WHERE finished < ?", (now - KEPT_S,)),
        (f"DELETE FROM jobs WHERE number IN ({newest} LIMIT -1 OFFSET ?)", (KEPT_ROWS,)),
    )
