"""Putting a whole file or folder under its name in one step, also where that is another disk."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from modules.core.errors import OutOfSpace
from modules.model_manager.scan import UNFINISHED


def move(part: Path, path: Path) -> None:
    """Move what is whole to its place; nothing half stands there at any time.

    Raises OutOfSpace where it cannot be written; `part` is kept then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        part.replace(path)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise _refused(path, error) from error
    near = path.with_name(path.name + UNFINISHED)
    try:
        _remove(near)  # of an earlier try that was killed
        _copy(part, near)
        near.replace(path)
    except OSError as error:
        _remove(near)
        raise _refused(path, error) from error
    _remove(part)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(source, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _refused(path: Path, error: OSError) -> OutOfSpace:
    return OutOfSpace(f"{path} cannot be written: {error.strerror or error}.")
