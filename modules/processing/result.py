"""What a job gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image


@dataclass(frozen=True, slots=True)
class Result:
    """The pictures of a job and what belongs to them. Grids come first when there are any."""

    images: tuple[Image.Image, ...]
    infotexts: tuple[str, ...]
    """One per picture, grids included."""
    paths: tuple[Path | None, ...]
    """Where each picture was saved, None where it was not."""
    index_of_first_image: int
    """Number of grids before the first picture."""
    info: dict[str, Any]
    """A1111's `info` object of the REST reply."""
    warnings: tuple[str, ...] = ()
    interrupted: bool = False
    seconds: float = 0.0
    memory: dict[str, int] = field(default_factory=dict)
    """Bytes: `peak` of the device (or of the process on a CPU), `total` of the machine."""
