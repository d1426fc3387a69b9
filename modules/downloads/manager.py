"""The downloads of a running Easel: one after another in a thread, watched and stopped by id.

A file or folder that is whole and really a model moves into the folder of its kind; nothing else
ever stands there under a model's name.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from modules.core.errors import BadInput, EaselError, Interrupted, NotFound
from modules.core.paths import Paths
from modules.downloads.folder_transfer import FolderTransfer, discard_folder
from modules.downloads.hub import Hub, users_hub
from modules.downloads.kinds import SAFE, Kind, folder_of, guess_kind
from modules.downloads.lookup import look
from modules.downloads.place import move
from modules.downloads.source import File, Folder, Item, Source
from modules.downloads.transfer import Order, Report, Transfer, discard

log = logging.getLogger(__name__)

STAGING: Final = ".downloads"
"""Folder below the models, where the parts gather."""
_KEPT: Final = 50
"""Finished downloads that are still listed."""
_SPEED_OVER_S: Final = 5.0


class State(StrEnum):
    """Where a download is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be fetched."""

    source: Source
    file: Item
    kind: Kind | None = None
    """The folder that was chosen; None lets the content decide."""
    sha256: str | None = None
    """A checksum that the user gave; the source's own counts too."""

    def check(self) -> None:
        """Raises BadInput for what was chosen and does not fit a whole folder."""
        if not isinstance(self.file, Folder):
            return
        if self.kind not in (None, Kind.CHECKPOINT):
            raise BadInput("kind", self.kind, f"a folder of diffusers is a {Kind.CHECKPOINT}")
        if self.sha256:
            reason = "a folder has none of its own; the hub's are compared, file by file"
            raise BadInput("sha256", self.sha256, reason)


@dataclass(slots=True)
class Download:
    """One download as it is now; only its thread changes it."""

    id: int
    wish: Wish
    state: State = State.WAITING
    done: int = 0
    total: int | None = None
    speed: float = 0.0
    """Bytes per second, over the last seconds."""
    message: str = ""
    """Why it failed, or where the file is."""
    path: Path | None = None
    cancelled: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state not in (State.WAITING, State.RUNNING)


class Downloads:
    """All downloads; safe to use from several threads."""

    def __init__(
        self, paths: Paths, transfer: Transfer | None = None,
        on_done: Callable[[Path, Kind], object] = lambda path, kind: None,
        hub: Hub | None = None,
    ) -> None:  # fmt: skip
        """`on_done` is told of each model that came, after it is in its folder.

        hub: None is the one of the user's environment.
        """
        self._paths = paths
        self._hub = hub
        self._transfer = transfer or Transfer()
        self._on_done = on_done
        self._lock = threading.Lock()
        self._all: list[Download] = []
        self._thread: threading.Thread | None = None

    def look(self, text: str, *, pickles: bool = False, revision: str | None = None) -> Source:
        """What lies under a name, hub id or address. Raises what `lookup.look` does."""
        hub, policy = self._hub or users_hub(), self._transfer.policy
        return look(text, pickles=pickles, revision=revision, policy=policy, hub=hub)

    def all(self) -> list[Download]:
        """Copies of all downloads, oldest first."""
        with self._lock:
            return [replace(one) for one in self._all]

    def start(self, wish: Wish) -> Download:
        """Queue a download; an ended one of the same file leaves the list.

        Raises BadInput where the file is here already or is on its way.
        """
        wish.check()
        self._refuse_if_here(wish)
        with self._lock:
            if any(not one.is_over and one.wish.file == wish.file for one in self._all):
                raise BadInput("source", wish.source.asked, "it is being downloaded already")
            added = Download(self._next_id(), wish, total=wish.file.size)
            self._all = [one for one in self._all if one.wish.file != wish.file]
            over = [one for one in self._all if one.is_over]
            self._all = [one for one in self._all if one not in over[: max(0, len(over) - _KEPT)]]
            self._all.append(added)
            self._wake()
        return replace(added)

    def stop(self, id: int) -> None:
        """Stop a download; what came of it is kept. Raises NotFound for one that does not run."""
        with self._lock:
            found = self._find(id)
            if found.is_over:
                raise NotFound("running download", id, self._ids())
            found.cancelled.set()
            if found.state is State.WAITING:
                found.state, found.message = State.STOPPED, "stopped"

    def resume(self, id: int) -> Download:
        """Take up a download that was stopped or failed. Raises NotFound and BadInput."""
        with self._lock:
            found = self._find(id)
            if not found.is_over or found.state is State.DONE:
                raise NotFound("download to take up again", id, self._ids())
        return self.start(found.wish)

    def forget(self, id: int) -> None:
        """Take a finished download off the list, and throw away what came of one that failed.

        What another download goes on with is kept.
        """
        with self._lock:
            found = self._find(id)
            if not found.is_over:
                raise NotFound("finished download", id, self._ids())
            self._all.remove(found)
            if found.state is not State.DONE and not self._is_in_use(self._part(found.wish.file)):
                self._discard(found.wish.file)

    def close(self, timeout_s: float) -> None:
        """Stop everything and wait for the thread."""
        with self._lock:
            for one in self._all:
                one.cancelled.set()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def fetch(self, wish: Wish, report: Callable[[int, int | None], None]) -> tuple[Path, Kind]:
        """Fetch one file or folder in this thread; where it is then, and what it is.

        Raises whatever `Transfer.fetch` does, and ModelError for a file that is no model.
        """
        wish.check()
        return self._fetch(wish, report, lambda: False)

    def _fetch(self, wish: Wish, report: Report, stop: Callable[[], bool]) -> tuple[Path, Kind]:
        self._refuse_if_here(wish)
        if isinstance(wish.file, Folder):
            kind, part = Kind.CHECKPOINT, self._part(wish.file)
            FolderTransfer(self._transfer, wish.source, wish.file, part).fetch(report, stop)
        else:
            kind, part = self._fetch_file(wish, wish.file, report, stop)
        path = folder_of(kind, self._paths) / wish.file.saved_as
        move(part, path)
        discard(part)  # the note beside it
        log.info("Downloaded %s as %s", wish.file.saved_as, path)
        return path, kind

    def _fetch_file(
        self, wish: Wish, file: File, report: Report, stop: Callable[[], bool]
    ) -> tuple[Kind, Path]:
        part, source = self._part(file), wish.source
        sha256 = wish.sha256 or file.sha256
        order = Order(file.url, part, file.size, sha256, source.headers, source.own_server)
        self._transfer.fetch(order, report, stop)
        try:
            return _kind_of(part, wish), part
        except EaselError as error:
            if not isinstance(error, BadInput):
                discard(part)
            raise

    def _refuse_if_here(self, wish: Wish) -> None:
        is_folder = isinstance(wish.file, Folder)
        kind = Kind.CHECKPOINT if is_folder else wish.kind or wish.source.kind
        for one in Kind if kind is None else (kind,):
            path = folder_of(one, self._paths) / wish.file.saved_as
            if path.exists():
                raise BadInput("file", wish.file.saved_as, f"{path} is here already")

    def _part(self, file: Item) -> Path:
        return self._paths.models / STAGING / f"{file.saved_as}.part"

    def _is_in_use(self, part: Path) -> bool:
        return any(not one.is_over and self._part(one.wish.file) == part for one in self._all)

    def _discard(self, file: Item) -> None:
        if isinstance(file, Folder):
            discard_folder(self._part(file))
        else:
            discard(self._part(file))

    def _next_id(self) -> int:
        return max((one.id for one in self._all), default=0) + 1

    def _find(self, id: int) -> Download:
        for one in self._all:
            if one.id == id:
                return one
        raise NotFound("download", id, self._ids())

    def _ids(self) -> list[str]:
        return [str(one.id) for one in self._all]

    def _wake(self) -> None:
        """Under the lock: a thread runs as long as anything waits."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="downloads", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                waiting = (one for one in self._all if one.state is State.WAITING)
                found = next(waiting, None)
                if found is None:
                    self._thread = None
                    return
                found.state = State.RUNNING
            self._run(found)

    def _run(self, download: Download) -> None:
        meter = _Meter()

        def report(done: int, total: int | None) -> None:
            download.done, download.total = done, total
            download.speed = meter.speed(done, time.monotonic())

        try:
            path, kind = self._fetch(download.wish, report, download.cancelled.is_set)
            download.path, download.message = path, str(path)
            self._on_done(path, kind)
            download.state = State.DONE
        except Interrupted as error:
            download.message, download.state = str(error), State.STOPPED
        except (EaselError, OSError) as error:
            log.warning("Download of %s failed: %s", download.wish.file.saved_as, error)
            download.message, download.state = str(error), State.FAILED
        except Exception as error:  # a job runner: the thread must live on for the next
            log.exception("Download of %s failed", download.wish.file.saved_as)
            download.message = f"{type(error).__name__}: {error}"
            download.state = State.FAILED
        download.speed = 0.0


class _Meter:
    """Bytes per second over the last few seconds."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def speed(self, done: int, now_s: float) -> float:
        """The speed, given that `done` bytes are there now."""
        self._seen = [one for one in self._seen if one[0] > now_s - _SPEED_OVER_S]
        self._seen.append((now_s, done))
        (began, first) = self._seen[0]
        return (done - first) / (now_s - began) if now_s > began else 0.0


def _kind_of(part: Path, wish: Wish) -> Kind:
    """The kind that was asked for, or that the content tells.

    Raises ModelError for a file that is no model, BadInput where nothing tells its kind.
    """
    chosen = wish.kind or wish.source.kind
    found, words = None, "a pickle"
    if wish.file.saved_as.endswith(SAFE):
        found, words = guess_kind(part)
    if chosen and found and chosen is not found:
        log.warning("%s seems to be %s; it goes to the %s files, as asked for",
                    wish.file.saved_as, words, chosen)  # fmt: skip
    kind = chosen or found
    if kind is None:
        raise BadInput("kind", None, f"the file is {words}; choose its kind ({', '.join(Kind)}) "
                       "and start again: the file is kept")  # fmt: skip
    return kind
