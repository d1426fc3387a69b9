"""Where a model's weights were read from, so that they can be read again into the same memory.

What was written over comes back bit by bit, as long as the file is still the one that was read.
Knows weights in RAM only; those on other devices are found nowhere.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import torch

from modules.core.errors import ModelError
from modules.model_manager.side_by_side import side_by_side
from modules.model_manager.tensor_file import FileStamp, Loaded, Reader, Row, is_as_stamped


@dataclass(frozen=True, slots=True)
class _Place:
    """Memory of one tensor of a file, as it was loaded: addresses from `start` to `end`."""

    start: int
    end: int
    row: Row


@dataclass(frozen=True, slots=True)
class Piece:
    """A weight in memory and the numbers of a file that belong there, from `first` on."""

    row: Row
    first: int
    out: torch.Tensor
    """1-D, in the format that it was loaded in."""


class Origin:
    """The files that one model's weights were read from, and where each tensor lies now."""

    def __init__(self) -> None:
        self._memory: list[torch.Tensor] = []
        """Held, so that nothing else ever has these addresses."""
        self._places: list[_Place] = []
        self._stamps: dict[Path, FileStamp] = {}

    def note(self, loaded: Loaded) -> None:
        """Tensors were read."""
        for row in loaded.rows:
            memory = loaded.places[row.name]
            self._memory.append(memory)
            start = memory.data_ptr()
            self._places.append(_Place(start, start + memory.nbytes, row))
        self._places.sort(key=lambda place: place.start)
        self._stamps |= loaded.stamps

    def find(self, weight: torch.Tensor) -> Piece | None:
        """What `weight` was loaded from; None where it is something else by now."""
        address = weight.data_ptr()
        index = bisect.bisect_right(self._places, address, key=lambda place: place.start) - 1
        if index < 0 or not weight.is_contiguous() or weight.device.type != "cpu":
            return None
        place = self._places[index]
        is_inside = address + weight.nbytes <= place.end and weight.nbytes > 0
        if not is_inside or weight.dtype != place.row.wanted:
            return None
        first = (address - place.start) // weight.itemsize
        return Piece(place.row, first, weight.detach().view(-1))

    def open(self, pieces: Iterable[Piece], threads: int) -> Source | None:
        """The files of `pieces`, held open; None where one is gone or changed since the load."""
        paths = {piece.row.entry.path for piece in pieces}
        with ExitStack() as stack:
            try:
                shares = [
                    {path: stack.enter_context(path.open("rb", buffering=0)) for path in paths}
                    for _ in range(max(1, threads))
                ]
                source = Source(shares, {path: self._stamps[path] for path in paths})
                if not source.is_unchanged():
                    return None
            except OSError:
                return None
            stack.pop_all()
            return source


class Source:
    """Open files that weights can be read from again, by several threads at once."""

    def __init__(self, shares: Sequence[dict[Path, FileIO]], stamps: dict[Path, FileStamp]) -> None:
        self._shares = shares
        self._stamps = stamps

    def is_unchanged(self) -> bool:
        """Whether the files are those that the model was loaded from. Raises OSError."""
        return all(
            is_as_stamped(opened, self._stamps[path]) for path, opened in self._shares[0].items()
        )

    def read(self, pieces: Sequence[Piece]) -> None:
        """Fill each piece's memory from its file.

        Raises ModelError where a file changed or is out of reach: what lies in memory then is
        worth nothing.
        """
        if not pieces:
            return
        path = pieces[0].row.entry.path
        groups = list(zip(self._shares, _even(pieces, len(self._shares)), strict=True))
        try:
            is_same = self.is_unchanged()
            if is_same:
                side_by_side(_read, groups, len(groups))
                is_same = self.is_unchanged()
        except OSError as error:
            reason = error.strerror or error
            raise ModelError(path, f"cannot be read any more ({reason}).") from error
        if not is_same:
            raise ModelError(path, "was changed on the disk while a LoRA was on.")

    def close(self) -> None:
        """Let go of the files."""
        for opened in self._shares:
            for file in opened.values():
                file.close()


def _even(pieces: Sequence[Piece], count: int) -> list[list[Piece]]:
    """The pieces in `count` groups of about the same number of bytes."""
    groups: list[list[Piece]] = [[] for _ in range(count)]
    sizes = [0] * count
    for piece in sorted(pieces, key=lambda piece: -piece.out.nbytes):
        smallest = sizes.index(min(sizes))
        groups[smallest].append(piece)
        sizes[smallest] += piece.out.nbytes
    return groups


def _read(share: tuple[dict[Path, FileIO], Sequence[Piece]]) -> None:
    files, pieces = share
    reader = Reader()
    in_order = sorted(pieces, key=lambda one: (str(one.row.entry.path), one.row.entry.start))
    for piece in in_order:
        reader.read(files[piece.row.entry.path], piece.row, piece.out, piece.first)
