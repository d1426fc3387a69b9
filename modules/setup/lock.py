"""One installation at a time, also when the program is started twice."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_PAUSE_S: Final = 0.5


@contextmanager
def exclusive(path: Path, log: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock on `path`, waiting for another process that holds it.

    The system drops the lock when this process and the children that it started with
    close_fds=False have ended, however they ended: a pip that outlives us still counts.
    """
    with path.open("a+b") as file:
        os.set_inheritable(file.fileno(), True)
        is_waiting = False
        while not _try_lock(file):
            if not is_waiting:
                log("Another start of Easel is installing; waiting for it")
            is_waiting = True
            time.sleep(_PAUSE_S)
        yield


def _try_lock(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
