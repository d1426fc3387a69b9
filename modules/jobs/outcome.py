"""What is remembered of a finished job when its pictures have left the memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

from PIL import Image
from pydantic import BaseModel, ConfigDict

from modules.processing.result import Result


class Outcome(BaseModel):
    """A Result without its pictures, as plain data that JSON can carry."""

    model_config = ConfigDict(frozen=True)

    paths: tuple[str | None, ...]
    infotexts: tuple[str, ...]
    index_of_first_image: int
    info: dict[str, Any]
    warnings: tuple[str, ...]
    interrupted: bool
    seconds: float
    memory: dict[str, Any]

    @classmethod
    def of(cls, result: Result) -> Self:
        """What remains of a result. Values that JSON does not know become text."""
        try:
            info = json.loads(json.dumps(result.info, default=str))
        except (TypeError, ValueError):  # keys that are no text, circles: an extension's doing
            info = {}
        return cls.model_construct(  # unchecked: nothing that a job made may be refused here
            paths=tuple(str(path) if path else None for path in result.paths),
            infotexts=tuple(map(str, result.infotexts)),
            index_of_first_image=result.index_of_first_image,
            info=info,
            warnings=tuple(map(str, result.warnings)),
            interrupted=result.interrupted,
            seconds=result.seconds,
            memory=result.memory,
        )

    def read(self) -> Result | None:
        """The result with its pictures from the disk; None where one is not there any more.

        Grids that were not saved, or are gone, are left out.
        """
        first = self.index_of_first_image
        samples = [_open(path) for path in self.paths[first:]]
        pictures = [image for image in samples if image]
        if not pictures or len(pictures) < len(samples):
            return None
        grids = [image for image in map(_open, self.paths[:first]) if image]
        if len(grids) < first:
            grids, dropped = [], first
        else:
            dropped = 0
        return Result(
            images=(*grids, *pictures),
            infotexts=self.infotexts[dropped:],
            paths=tuple(Path(path) if path else None for path in self.paths[dropped:]),
            index_of_first_image=first - dropped,
            info={**self.info, "index_of_first_image": first - dropped},
            warnings=self.warnings,
            interrupted=self.interrupted,
            seconds=self.seconds,
            memory=self.memory,
        )


def _open(path: str | None) -> Image.Image | None:
    """A saved picture; None for one that was not saved, is gone or is broken."""
    if path is None:
        return None
    try:
        with Image.open(path) as file:
            return file.copy()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
