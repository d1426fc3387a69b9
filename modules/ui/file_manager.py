"""Opening a folder in the file manager of the machine that Easel runs on.

Only for somebody who sits at that machine: a window that opens elsewhere helps nobody.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")
"""Headers by which a proxy says that the visitor is not the one who connects."""

Start = Callable[[Sequence[str]], None]


def is_at_this_machine(client: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a request came from the server's own machine, as far as it can be told.

    client: the address that connected.

    >>> is_at_this_machine("127.0.0.1", {}), is_at_this_machine("192.168.0.2", {})
    (True, False)
    """
    try:
        is_loopback = ipaddress.ip_address(client or "").is_loopback
    except ValueError:
        return False
    return is_loopback and not any(name in headers for name in FORWARDED)


def find_file_manager(
    platform: str = sys.platform, environ: Mapping[str, str] = os.environ
) -> str | None:
    """The program that opens folders, None where there is none or no screen to open them on."""
    if platform == "win32":
        return shutil.which("explorer", path=environ.get("PATH"))
    if platform == "darwin":
        return shutil.which("open", path=environ.get("PATH"))
    has_screen = environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    return shutil.which("xdg-open", path=environ.get("PATH")) if has_screen else None


def start_program(command: Sequence[str]) -> None:
    """Start a program without waiting for it. Raises OSError."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    threading.Thread(target=process.wait, name="file-manager", daemon=True).start()


def open_folder(folder: Path, manager: str | None, start: Start = start_program) -> bool:
    """Open `folder` with the program `manager`; whether that began.

    >>> open_folder(Path("/nowhere/at/all"), "xdg-open")
    False
    """
    if manager is None or not folder.is_dir():
        return False
    try:
        start((manager, str(folder)))
    except OSError:
        return False
    return True
