"""Running pip as a child: its output condensed, bounded in time, and never left behind."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from modules.setup.errors import SetupError
from modules.setup.pip_output import PipProgress, elapsed, explain_failure

Log = Callable[[str], None]

_QUIET_S: Final = 10.0
"""How long pip may say nothing before the user is told that it still works."""
_FLAGS: Final = (
    *("--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
    # Python compiles what it imports; compiling all 30,000 files takes longer than copying them.
    "--no-compile",
)


@dataclass(frozen=True, slots=True)
class Pip:
    """Pip of one environment. python: its interpreter. log_file: pip's whole output goes there."""

    python: Path
    log: Log
    log_file: Path
    scratch: Path
    """Folder for pip's temporary files; the system's own is often small and in memory."""

    def install(
        self, arguments: Sequence[str], *, total: int = 0, timeout_s: float | None = None
    ) -> None:
        """Run `pip install <arguments>`. total: how many requirements they hold, for display.

        Raises SetupError, with what to do about it, when pip fails or takes too long.
        """
        command = [str(self.python), "-m", "pip", "install", *_FLAGS, *arguments]
        self.scratch.mkdir(parents=True, exist_ok=True)
        environ = {**os.environ, "TMPDIR": str(self.scratch), "PYTHONUNBUFFERED": "1"}
        with self.log_file.open("a", encoding="utf-8") as record:
            record.write(f"\n$ {' '.join(command)}\n")
            with _Child(command, environ) as child:
                tail = self._follow(child, record, PipProgress(total), timeout_s)
                code = child.process.wait()
        if code < 0:
            raise SetupError(f"pip was ended by signal {-code}; is there too little memory?")
        if code:
            raise SetupError(f"pip failed. {explain_failure(tail)}\n  All of it: {self.log_file}")

    def _follow(
        self, child: _Child, record: IO[str], progress: PipProgress, timeout_s: float | None
    ) -> str:
        """Pass the output on until it ends; returns its last lines."""
        start = time.monotonic()
        tail: deque[str] = deque(maxlen=400)
        while True:
            try:
                line = child.lines.get(timeout=_QUIET_S)
            except queue.Empty:
                self._tell(self._alive(progress), start)
                line = ""
            if line is None:
                return "\n".join(tail)
            if timeout_s is not None and time.monotonic() - start > timeout_s:
                raise SetupError(f"pip did not finish within {elapsed(timeout_s)}")
            if line:
                record.write(line)
                tail.append(line.rstrip())
                self._tell(progress.feed(line), start)

    def _alive(self, progress: PipProgress) -> str:
        if not progress.packages:
            return f"Still at it: {progress.stage}"
        return f"{progress.stage}; {installed_count(self.python)} are in place"

    def _tell(self, message: str | None, start: float) -> None:
        if message is not None:
            self.log(f"{message}, {elapsed(time.monotonic() - start)}")


class _Child:
    """A process whose output lines arrive in `lines`, None at the end; dead when the block ends."""

    def __init__(self, command: Sequence[str], environ: dict[str, str]) -> None:
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=os.name == "posix",
            close_fds=os.name != "posix",  # keeps the lock of lock.py while pip lives
        )
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> _Child:
        self._reader.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None and error[0] is not None:
            self._kill()
        self.process.wait()
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _read(self) -> None:
        if self.process.stdout is not None:
            for line in self.process.stdout:
                self.lines.put(line)
        self.lines.put(None)

    def _kill(self) -> None:
        """End pip and the builds that it started."""
        if os.name == "posix":
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()


def site_packages(python: Path) -> list[Path]:
    """The package folders of the environment around this interpreter."""
    root = python.parent.parent
    return [*root.glob("lib/python3*/site-packages"), *root.glob("Lib/site-packages")]


def installed_count(python: Path) -> int:
    """How many packages are completely installed: pip writes INSTALLER near the end."""
    return sum(1 for folder in site_packages(python) for _ in folder.glob("*.dist-info/INSTALLER"))
