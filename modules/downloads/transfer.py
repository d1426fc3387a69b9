"""One file from a server to the disk: resumed, measured, checked, and under its name only if whole.

The bytes go to `<name>.part`, with a note beside it of what they are part of. A transfer that was
cut off goes on where it ended, if the server's file is still the same. Knows HTTP and files; must
not know models.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from modules.core.errors import DownloadFailed, Interrupted, OutOfSpace
from modules.downloads.connection import PUBLIC, Policy, Reply, get

_BLOCK: Final = 1 << 20
SPARE_BYTES: Final = 256 << 20
"""What stays free on the disk: pictures and settings must still find room."""
MOST_BYTES: Final = 200 << 30
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Report = Callable[[int, int | None], None]
"""Called with the bytes that are there and those that there should be, if known."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to fetch, and how the whole file can be told from a wrong one."""

    url: str
    part: Path
    """Where the bytes gather; the caller moves the whole file to its place."""
    size: int | None = None
    sha256: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    own_server: str = ""
    """See `Policy.own_server`."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """How to fetch: limits, and what a test or another caller may replace."""

    policy: Policy = PUBLIC
    most_bytes: int = MOST_BYTES
    spare_bytes: int = SPARE_BYTES
    attempts: int = 5
    """How often a lost connection is taken up again without any new bytes in between."""
    pause_s: float = 2.0
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    wait: Callable[[float], None] = time.sleep

    def fetch(self, order: Order, report: Report, is_cancelled: Callable[[], bool]) -> str:
        """Fetch the whole file into `order.part`; returns its SHA-256 in hex.

        Raises DownloadFailed (what came is kept for the next try, unless it is wrong), OutOfSpace
        (nothing is kept), Interrupted (what came is kept), BadInput for a refused address.
        """
        order.part.parent.mkdir(parents=True, exist_ok=True)
        failures = self.attempts - 1  # a server that never answers is not asked again
        while True:
            before = _size(order.part)
            try:
                digest = self._attempt(order, report, is_cancelled)
                break
            except _Lost as lost:
                failures = 0 if _size(order.part) > before else failures + 1
                if failures >= self.attempts:
                    raise DownloadFailed(lost.host, lost.reason) from lost
            self.wait(self.pause_s)
        _check(order, digest)
        return digest

    def _attempt(self, order: Order, report: Report, is_cancelled: Callable[[], bool]) -> str:
        kept = _read_note(order)
        start = _size(order.part) if kept else 0
        total = kept.get("total")
        if start and start == total:
            return str(_digest(order.part).hexdigest())  # whole; only its end was not noticed
        start = start if total is None or start < total else 0
        asked = {"Range": f"bytes={start}-", "If-Range": kept["validator"]} if start else {}
        try:
            policy = replace(self.policy, own_server=order.own_server)
            with get(order.url, {**order.headers, **asked}, policy) as reply:
                start, total = _begin(reply, start)
                self._check_room(order, start, total)
                _write_note(order, reply, total)
                body = _Body(reply, start, total, report, is_cancelled)
                return body.write_to(order.part)
        except DownloadFailed as error:
            if isinstance(error, _Refused):
                note_of(order.part).unlink(missing_ok=True)  # the next try begins anew
                raise DownloadFailed(error.host, error.reason) from error
            raise _Lost(error.host, error.reason) from error
        except OSError as error:
            discard(order.part)
            if error.errno in _FULL:
                raise OutOfSpace(_no_room(order.part)) from error
            raise OutOfSpace(f"{order.part} cannot be written: {error.strerror}.") from error

    def _check_room(self, order: Order, start: int, total: int | None) -> None:
        """Refuse before the disk is full, and what is not the file that was looked at."""
        if total is None:
            return
        host = order.part.name.removesuffix(".part")
        if order.size is not None and total != order.size:
            raise _Refused(host, f"it should have {order.size} bytes, and the server has {total}")
        if total > self.most_bytes:
            raise _Refused(host, f"it has {total} bytes, and {self.most_bytes} are allowed")
        lacking = self.lacking_bytes(order.part.parent, total - start)
        if lacking > 0:
            discard(order.part)
            raise OutOfSpace(f"{_no_room(order.part)} {lacking / 1e9:.1f} GB more must be free.")

    def lacking_bytes(self, folder: Path, needed: int) -> int:
        """How much more must be free for `needed` bytes to find room; 0 or less: nothing."""
        return needed + self.spare_bytes - self.free_bytes(folder)


class _Refused(DownloadFailed):
    """Trying again would not help."""


class _Lost(DownloadFailed):
    """The connection ended; another try may bring more."""


@dataclass(slots=True)
class _Body:
    """The bytes that come, from `start` on."""

    reply: Reply
    start: int
    total: int | None
    report: Report
    is_cancelled: Callable[[], bool]

    def write_to(self, part: Path) -> str:
        """Append to the part; returns the SHA-256 of all of it."""
        digest = _digest(part) if self.start else hashlib.sha256()
        done = self.start
        with part.open("ab" if self.start else "wb") as out:
            self.report(done, self.total)
            while block := self.reply.read(_BLOCK):
                out.write(block)
                digest.update(block)
                done += len(block)
                self.report(done, self.total)
                if self.is_cancelled():
                    raise Interrupted("The download was stopped; it can be taken up again.")
            out.flush()
            os.fsync(out.fileno())
        if self.total is not None and done != self.total:
            reason = f"the connection ended after {done} of {self.total} bytes"
            raise _Lost(part.name.removesuffix(".part"), reason)
        return digest.hexdigest()


def discard(part: Path) -> None:
    """Remove what has come of a file."""
    for path in (part, note_of(part)):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _begin(reply: Reply, start: int) -> tuple[int, int | None]:
    """From which byte on the reply has the file, and how long that is in all."""
    if reply.status == 206 and start:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", reply.headers.get("content-range", ""))
        if not found or int(found[1]) != start:
            raise _Refused(_server(reply), "it answered with another part of the file")
        return start, int(found[2])
    if reply.status == 416:
        raise _Refused(_server(reply), "its file has become shorter; start again")
    if reply.status != 200:
        kind = _Lost if reply.status >= 500 or reply.status == 429 else _Refused
        raise kind(_server(reply), _words(reply.status))
    length = reply.headers.get("content-length", "")
    return 0, int(length) if length.isdigit() else None


def _words(status: int) -> str:
    match status:
        case 401 | 403:
            return (
                f"it refuses the file (HTTP {status}); a model for which one must sign in needs a "
                "token: accept its licence there, then set HF_TOKEN to a token of yours"
            )
        case 404 | 410:
            return f"it has no such file (HTTP {status})"
        case _:
            return f"it answered HTTP {status}"


def _server(reply: Reply) -> str:
    return reply.url.split("/")[2]


def _check(order: Order, digest: str) -> None:
    """Throw away a file that is not the one that was promised."""
    size = _size(order.part)
    name = order.part.name.removesuffix(".part")
    if order.size is not None and size != order.size:
        discard(order.part)
        raise DownloadFailed(name, f"{size} bytes came, and {order.size} were expected")
    if order.sha256 and digest != order.sha256.lower():
        discard(order.part)
        reason = (
            f"the checksum is wrong: {digest} came, {order.sha256.lower()} was expected; "
            "the file was thrown away"
        )
        raise DownloadFailed(name, reason)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _digest(path: Path) -> Any:
    """The running SHA-256 of what is there."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest


def _no_room(part: Path) -> str:
    return (
        f"The disk of {part.parent} is full: {part.name.removesuffix('.part')} does not fit, and "
        "nothing of it was kept."
    )


def note_of(part: Path) -> Path:
    """Where it says what a part is part of."""
    return part.with_name(part.name + ".json")


def _write_note(order: Order, reply: Reply, total: int | None) -> None:
    """Remember what the part is part of; without a validator it cannot be taken up again."""
    etag = reply.headers.get("etag", "")
    validator = etag if etag and not etag.startswith("W/") else reply.headers.get("last-modified")
    note = {"url": order.url, "sha256": order.sha256, "validator": validator, "total": total}
    note_of(order.part).write_text(json.dumps(note), encoding="utf-8")


def _read_note(order: Order) -> dict[str, Any]:
    """The note, if it is about this order and the part can be taken up again; else {}."""
    try:
        note = json.loads(note_of(order.part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    is_same = isinstance(note, dict) and note.get("url") == order.url
    return note if is_same and note.get("validator") and note["sha256"] == order.sha256 else {}
