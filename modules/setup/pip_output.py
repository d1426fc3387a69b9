"""Pip's output, told in few lines; and its failures, told in words. Pure text to text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_TOP_LEVEL = re.compile(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+).*\(from -r ")
_PROCESSING = re.compile(r"Processing (?:.*[/\\])?([A-Za-z][\w.]*)-\d[^/\\]* \(from -r ")
_DOWNLOAD = re.compile(
    r"\s*Downloading (?:\S*/)?([A-Za-z][\w.]*)-\d[^/\s]* \((\d+(?:\.\d+)?) (MB|GB)\)"
)
_INSTALLING = re.compile(r"Installing collected packages: (.+)")
_LARGE_MB: Final = 20.0


@dataclass(slots=True)
class PipProgress:
    """Turns pip's lines into messages worth showing.

    total: how many requirements were asked for. `packages` is known once pip installs.
    """

    total: int
    stage: str = "Looking for packages"
    packages: int = 0
    _seen: set[str] = field(default_factory=set)

    def feed(self, line: str) -> str | None:
        """The message for one line of output, None for the many that say nothing new."""
        if match := _TOP_LEVEL.match(line) or _PROCESSING.match(line):
            return self._found(match[1])
        if match := _DOWNLOAD.match(line):
            return self._download(match[1], float(match[2]), match[3])
        if match := _INSTALLING.match(line):
            self.packages = match[1].count(",") + 1
            self.stage = f"Installing {self.packages} package{'s' * (self.packages > 1)}"
            return self.stage
        return None

    def _found(self, name: str) -> str | None:
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in self._seen:
            return None
        self._seen.add(key)
        self.stage = f"{len(self._seen)} of {max(self.total, len(self._seen))}: {key}"
        return self.stage

    def _download(self, name: str, size: float, unit: str) -> str | None:
        if unit == "MB" and size < _LARGE_MB:
            return None
        self.stage = f"Downloading {name} ({size:g} {unit})"
        return self.stage


_CAUSES: Final[tuple[tuple[str, str], ...]] = (
    (
        r"No space left on device|\[Errno 28\]|Disk quota exceeded|not enough space on the disk",
        "The disk is full. Free some space (about 4 GB, 12 GB with CUDA) and start again; "
        "what was installed already is kept.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError",
        "The package index's certificate was not accepted. Behind a proxy that opens TLS, set "
        "PIP_CERT to the proxy's certificate file.",
    ),
    (
        r"ProxyError|Tunnel connection failed|407 Proxy",
        "The proxy refused the connection to the package index. Check HTTPS_PROXY, or set "
        "PIP_INDEX_URL to an index that can be reached.",
    ),
    (
        r"NewConnectionError|Failed to establish a new connection|NameResolutionError"
        r"|Temporary failure in name resolution|Connection refused|ConnectTimeoutError"
        r"|Network is unreachable|ReadTimeoutError|Read timed out|Max retries exceeded"
        r"|ConnectionResetError|Connection broken|Retrying \(Retry\(",
        "The package index could not be reached. Check the network; behind a proxy set "
        "HTTPS_PROXY, with a mirror set PIP_INDEX_URL. Then start again.",
    ),
    (
        r"THESE PACKAGES DO NOT MATCH THE HASHES|zipfile\.BadZipFile|IncompleteRead",
        "A package arrived damaged. Start again; if it happens again, run 'pip cache purge'.",
    ),
    (
        r"Permission denied|\[Errno 13\]|Access is denied|\[WinError 5\]",
        "The folder of the program cannot be written. Move it to where you may write, or start "
        "it as the user who owns it.",
    ),
    (
        r"Could not find a version that satisfies|No matching distribution found",
        "The package index has no package that fits this Python and this kind of computer.",
    ),
    (
        r"ResolutionImpossible|conflicting dependencies",
        "The requirements contradict each other.",
    ),
)


def explain_failure(output: str) -> str:
    """What a failed pip (or venv) means and what to do, with the line in which it says so."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for pattern, advice in _CAUSES:
        matches = [line for line in lines if re.search(pattern, line)]
        if matches:
            return f"{advice}\n  It said: {_short(matches[-1])}"
    tail = "\n".join(f"  {_short(line)}" for line in lines[-10:])
    return f"Its last lines were:\n{tail}"


def _short(line: str) -> str:
    return line if len(line) <= 300 else f"{line[:299]}…"


def elapsed(seconds: float) -> str:
    """A duration in words.

    >>> elapsed(7.4), elapsed(125)
    ('7 s', '2 min 5 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
