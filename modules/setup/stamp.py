"""The note in .venv that says what was installed; a start with a fitting note installs nothing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_NAME: Final = "easel-installed.json"


@dataclass(frozen=True, slots=True)
class Stamp:
    """requirements: sha256 by file name. python: such as "3.11". extras: done or failed."""

    requirements: dict[str, str]
    python: str
    extras: dict[str, str]

    def covers(self, wanted: dict[str, str]) -> bool:
        """Whether all wanted files were installed as they are now."""
        return wanted.items() <= self.requirements.items()


def digests(requirements: Iterable[Path]) -> dict[str, str]:
    """sha256 of each file by its name. Raises FileNotFoundError."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in requirements}


def read_stamp(environment: Path) -> Stamp | None:
    """The note of this environment; None if there is none or it cannot be understood."""
    try:
        found = json.loads((environment / _NAME).read_text(encoding="utf-8"))
        return Stamp(dict(found["requirements"]), str(found["python"]), dict(found["extras"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_stamp(environment: Path, stamp: Stamp) -> None:
    """Write the note whole or not at all; it is the last thing that an installation does."""
    part = environment / f"{_NAME}.part"
    part.write_text(json.dumps(asdict(stamp), indent=1), encoding="utf-8")
    os.replace(part, environment / _NAME)  # noqa: PTH105


def remove_stamp(environment: Path) -> None:
    """Forget what was installed, before something is changed."""
    (environment / _NAME).unlink(missing_ok=True)
