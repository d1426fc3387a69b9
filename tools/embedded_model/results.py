"""An evaluation's figures, and of which checkpoint each is. Must not know how they are taken."""

import hashlib
import json
from pathlib import Path
from typing import Any

CHECKPOINTS = "checkpoints"


class Results:
    """evaluation.json: a figure under its name, and the SHA-256 of the weights it was taken of.

    Written after every figure, beside and then renamed, so that a kill loses only the one in work.
    """

    def __init__(self, path: Path, checkpoint: Path) -> None:
        """Read what there is; `checkpoint` is what the figures to come are of."""
        self._path = path
        self._digest = weights_digest(checkpoint)
        self._figures: dict[str, Any] = {}
        if path.is_file():
            self._figures = json.loads(path.read_text(encoding="utf-8"))

    def is_known(self, name: str) -> bool:
        """Whether this figure was already taken of this very checkpoint."""
        of: dict[str, str] = self._figures.get(CHECKPOINTS, {})
        return name in self._figures and of.get(name) == self._digest

    def add(self, name: str, figure: object) -> None:
        """Keep a figure and write the file."""
        self._figures[name] = figure
        self._figures.setdefault(CHECKPOINTS, {})[name] = self._digest
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self._figures, indent=1) + "\n", encoding="utf-8")
        partial.replace(self._path)


def weights_digest(path: Path) -> str:
    """SHA-256 of a .safetensors file without its header, whose metadata come in any order."""
    data = path.read_bytes()
    return hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()
