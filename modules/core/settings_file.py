"""`config.json` on the disk: read, and changed key by key. Knows no setting.

Several programs may have the same data folder. Each changes only what its own user changed, under
a lock on `config.json.lock`, and the file is replaced in one step.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from modules.core.errors import Busy, OutOfSpace

log = logging.getLogger(__name__)

LOCK_S: Final = 10.0
"""How long another program may take to write; it takes milliseconds."""


def read_values(file: Path) -> dict[str, Any]:
    """What the file holds; one that cannot be read is set aside, and nothing is held."""
    try:
        return _parsed(file) or {}
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s); defaults are used, the file is kept as %s",
                    file, error, _aside(file).name)  # fmt: skip
        if file.is_file():
            file.replace(_aside(file))
        return {}


def change_values(
    file: Path,
    changed: Mapping[str, Any],
    dropped: Collection[str] = (),
    *,
    otherwise: Mapping[str, Any],
    lock_s: float = LOCK_S,
) -> None:
    """Write `changed` into the file and take `dropped` out; what else it holds stays.

    otherwise: what else is to be there, where the file is gone or no longer readable; one that
    cannot be read is set aside. A file that holds all of it already is left alone.
    Raises OutOfSpace when the file cannot be written, Busy when it stays locked.
    """
    from filelock import FileLock, Timeout  # a tenth of a second that the start need not wait

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_name(file.name + ".lock"), timeout=lock_s):
            held = _held(file)
            values = {**(otherwise if held is None else held), **changed}
            wanted = {k: v for k, v in values.items() if k not in dropped}
            if wanted != (held or {}):
                _replace(file, wanted)
    except Timeout as error:
        raise Busy(f"{file} was not written: another program keeps it locked.") from error
    except OSError as error:
        raise OutOfSpace(f"{file} cannot be written: {error.strerror}") from error


def _held(file: Path) -> dict[str, Any] | None:
    """What the file holds now; None without one or when it was set aside. Raises OSError."""
    try:
        return _parsed(file)
    except ValueError as error:
        log.warning("%s cannot be read any more (%s); it is written anew, the file is kept as %s",
                    file, error, _aside(file).name)  # fmt: skip
        file.replace(_aside(file))
        return None


def _aside(file: Path) -> Path:
    """Where a file is kept that cannot be read."""
    return file.with_suffix(".unreadable.json")


def _parsed(file: Path) -> dict[str, Any] | None:
    """None without a file. Raises OSError, ValueError."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if not isinstance(values, dict):
        raise ValueError(f"a JSON object is expected, not {type(values).__name__}")
    return values


def _replace(file: Path, values: Mapping[str, Any]) -> None:
    """In one step, so that a full disk leaves the old file. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=file.name, suffix=".new")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(values, out, indent=4, ensure_ascii=False)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink()
        raise
