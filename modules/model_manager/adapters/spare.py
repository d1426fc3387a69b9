"""Memory for changed weights, fetched from the system while the model is at work.

A system hands out new memory slower than weights can be computed; who waits for it waits long.
Until it is used it holds copies of the own weights that lie under what is worn, so that the file
is needed no longer than the fetching takes.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

import torch

from modules.core.errors import ModelError
from modules.model_manager.origin import Piece, Source
from modules.model_manager.side_by_side import alone, side_by_side
from modules.model_manager.tensor_file import huge_pages

log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)


class Spare(Generic[Key]):
    """A piece of memory for each key, filled by a thread that ends with this object."""

    def __init__(
        self,
        pieces: Mapping[Key, Piece],
        source: Source,
        kept: Mapping[Key, torch.Tensor] | None = None,
    ) -> None:
        """Begin to read copies of `pieces` out of `source`, which is closed afterwards.

        `kept` are pieces that are there already. Raises OSError where there is no memory.
        """
        self._copies = {key: _like(piece) for key, piece in pieces.items()}
        self._free = dict(kept or {})
        self._is_true = False
        work = _Fetch(weakref.ref(self), dict(pieces), source)
        # no daemon: one that is inside torch when Python ends takes the process down with it
        self._thread = threading.Thread(target=work, name="easel-spare")
        self._thread.start()

    @property
    def size_bytes(self) -> int:
        """Of what nobody took yet."""
        return sum(one.nbytes for one in (*self._copies.values(), *self._free.values()))

    @property
    def is_ready(self) -> bool:
        """Whether all of it is there."""
        return not self._thread.is_alive()

    @property
    def is_true(self) -> bool:
        """Whether it holds copies of all pieces it was made for."""
        return self.is_ready and self._is_true

    def wait(self) -> None:
        """Until it is ready."""
        self._thread.join()

    def give_back(self, pieces: Mapping[Key, Piece], threads: int) -> None:
        """Copy the own weights to where they were. Only where `is_true`, of the same pieces."""

        def copy(key: Key) -> None:
            with torch.no_grad():  # each thread has its own
                pieces[key].out.copy_(self._copies[key])

        side_by_side(copy, pieces, threads)

    def release(self) -> None:
        """The copies are needed no more: their memory may be taken."""
        self._is_true = False
        self._free |= self._copies
        self._copies = {}

    def has(self, key: Key) -> bool:
        """Whether `take` would give something."""
        return self.is_ready and key in self._free

    def take(self, key: Key) -> torch.Tensor | None:
        """1-D memory, the caller's from now on; None where it is not ready, not known or taken."""
        return self._free.pop(key, None) if self.is_ready else None

    def rest(self) -> dict[Key, torch.Tensor]:
        """What nobody took; the caller's from now on."""
        free, self._free = self._free, {}
        return free if self.is_ready else {}

    def memory(self, key: Key) -> torch.Tensor | None:
        """For the thread."""
        copy = self._copies.get(key)
        return self._free.get(key) if copy is None else copy

    def confirm(self) -> None:
        """For the thread: all copies are whole."""
        self._is_true = bool(self._copies)


class _Fetch(Generic[Key]):
    """What the thread does. Ends where its owner or the program does."""

    def __init__(
        self, owner: weakref.ref[Spare[Key]], pieces: dict[Key, Piece], source: Source
    ) -> None:
        self._owner = owner
        self._pieces = pieces
        self._source = source

    def __call__(self) -> None:
        try:
            alone(self._fetch)
        except ModelError as error:
            log.info("No copies of the weights are kept: %s", error)
        finally:
            self._source.close()

    def _fetch(self) -> None:
        for key, piece in self._pieces.items():
            spare = self._owner()
            memory = spare.memory(key) if spare is not None else None
            del spare
            if memory is None or not threading.main_thread().is_alive():
                return
            self._source.read([Piece(piece.row, piece.first, memory)])
        spare = self._owner()
        if spare is not None:
            spare.confirm()


def _like(piece: Piece) -> torch.Tensor:
    return huge_pages(piece.out.nbytes).view(piece.out.dtype)
