"""Memory for changed weights, taken from the system while the model is at work.

A system hands out new memory slower than weights can be computed; who waits for it waits long.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Hashable, Mapping
from typing import Final, Generic, TypeVar

import torch

from modules.model_manager.tensor_file import huge_pages

Key = TypeVar("Key", bound=Hashable)

STEP_BYTES: Final = 8 << 20
"""Taken at a time; in between, others get their turn."""


class Spare(Generic[Key]):
    """One piece of memory for each key, fetched by a thread that ends with this object."""

    def __init__(self, wanted: Mapping[Key, tuple[torch.Size, torch.dtype]]) -> None:
        """`wanted`: shape and format of each."""
        self._pieces: dict[Key, torch.Tensor] = {}
        for key, (shape, dtype) in wanted.items():
            memory = huge_pages(math.prod(shape) * dtype.itemsize)
            self._pieces[key] = memory.view(dtype).reshape(shape)
        self._thread = threading.Thread(
            target=_fetch, args=(weakref.ref(self), list(wanted)), name="easel-spare", daemon=True
        )
        self._thread.start()

    @property
    def size_bytes(self) -> int:
        """Of what nobody took yet."""
        return sum(piece.nbytes for piece in tuple(self._pieces.values()))

    @property
    def is_ready(self) -> bool:
        """Whether all of it is there."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Until it is ready."""
        self._thread.join()

    def has(self, key: Key) -> bool:
        """Whether `take` would give something."""
        return self.is_ready and key in self._pieces

    def take(self, key: Key) -> torch.Tensor | None:
        """The caller's from now on; None where it is not ready, not known or taken."""
        return self._pieces.pop(key, None) if self.is_ready else None

    def piece(self, key: Key) -> torch.Tensor | None:
        """Left here."""
        return self._pieces.get(key)


def _fetch(owner: weakref.ref[Spare[Key]], keys: list[Key]) -> None:
    for key in keys:
        spare = owner()
        piece = spare.piece(key) if spare is not None else None
        del spare
        if piece is None:
            return
        flat = piece.view(-1).view(torch.uint8)
        for start in range(0, len(flat), STEP_BYTES):
            flat[start : start + STEP_BYTES].zero_()
