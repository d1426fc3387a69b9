"""What the model manager is doing, as a value that other threads may read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Progress = Callable[[float], None]
"""Hears the fraction that is done, 0..1."""

Status = Literal["none", "loading", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class ModelState:
    """One moment. Replaced as a whole, never changed."""

    status: Status = "none"
    title: str | None = None
    """The model being loaded, or loaded, or failed."""
    fraction: float = 0.0
    """Of the file that is read, 0..1; while loading."""
    device: str | None = None
    dtype: str | None = None
    size_bytes: int = 0
    """Memory that the weights take."""
    text_widths: tuple[int, ...] = ()
    """Features of each text encoder; () where no model is loaded."""
    reason: str | None = None
    """Why it failed."""

    @property
    def words(self) -> str:
        """One line for the page.

        >>> ModelState("loading", "a.safetensors", 0.5).words
        'Loading a.safetensors: 50 %'
        """
        match self.status:
            case "none":
                return "No model is loaded"
            case "loading":
                return f"Loading {self.title}: {self.fraction:.0%}".replace("%", " %")
            case "ready":
                size = f"{self.size_bytes / 2**20:,.0f} MiB"
                return f"{self.title} on {self.device} in {self.dtype}, {size}"
            case "failed":
                return f"{self.title} could not be loaded: {self.reason}"
