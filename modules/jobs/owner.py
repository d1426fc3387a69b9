"""Which program has the queue's file: a note beside it, for the one that comes second.

Only informs; what keeps the second program out is the lock on the file itself.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from pathlib import Path

log = logging.getLogger(__name__)


def note_owner(file: Path) -> None:
    """Write down that this program has `file`; a disk that refuses is no matter."""
    said = {"process": os.getpid(), "host": socket.gethostname(), "since": time.time()}
    try:
        _note_of(file).write_text(json.dumps(said), encoding="utf-8")
    except OSError as error:
        log.debug("%s cannot be written: %s", _note_of(file), error)


def forget_owner(file: Path) -> None:
    """Take the note away again."""
    try:
        _note_of(file).unlink(missing_ok=True)
    except OSError as error:
        log.debug("%s cannot be removed: %s", _note_of(file), error)


def owner_of(file: Path) -> str:
    """The program that has `file`, in words; nothing more than that there is one without a note."""
    try:
        said = json.loads(_note_of(file).read_text(encoding="utf-8"))
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(float(said["since"])))
        return f"another Easel (process {int(said['process'])} on {said['host']}, since {since})"
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return "another Easel"


def _note_of(file: Path) -> Path:
    return file.with_name(file.name + ".owner")
