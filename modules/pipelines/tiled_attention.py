"""Self-attention within tiles: each tile attends to itself only, so large pictures cost less.

The idea is HyperTile's (github.com/tfernd/HyperTile, MIT). A side is cut into equal parts; which
of the fitting cuts is taken changes from layer to layer, so that no border stays. The cuts come
from a generator of their own, so a picture depends neither on its company nor on what ran before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from torch import Tensor

PIXELS_PER_CELL = 8


@dataclass(frozen=True, slots=True)
class TileOptions:
    """How attention is cut up."""

    size: int
    """Side of a tile in pixels, at least."""
    max_depth: int
    """Levels that are cut: 0 the largest alone, 1 also the one of half its sides, …"""
    choices: int
    """Cuts to choose from at each layer."""


def possible_cuts(side: int, least: int, choices: int) -> list[int]:
    """Numbers of equal parts of `side` cells with at least `least` cells each, most parts first.

    >>> possible_cuts(24, 6, 3)
    [4, 3, 2]
    >>> possible_cuts(7, 4, 3)
    [1]
    """
    sizes = (size for size in range(min(least, side), side + 1) if side % size == 0)
    return [side // size for size in sizes][: max(1, choices)]


@contextmanager
def tiled_attention(options: TileOptions, *networks: torch.nn.Module) -> Iterator[None]:
    """Cut up the self-attention of a UNet, or an autoencoder's two halves, until the block ends.

    Works through torch's hooks; the network is then as it was, whatever happens inside.
    """
    with ExitStack() as stack:
        for network in networks:
            cutter = _Cutter(options)
            stack.callback(network.register_forward_pre_hook(cutter.note_size).remove)
            for name, module in network.named_modules():
                if isinstance(module, BasicTransformerBlock):
                    _hook(module.attn1, cutter, stack)
                elif isinstance(module, Attention) and name.endswith("mid_block.attentions.0"):
                    _hook(module, cutter, stack)
        yield


def _hook(layer: torch.nn.Module, cutter: _Cutter, stack: ExitStack) -> None:
    cut: list[_Cut | None] = [None]

    def before(_: object, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        cut[0] = cutter.cut_for(args[0])
        return (cut[0].apart(args[0]), *args[1:]) if cut[0] else None

    def after(_: object, args: object, result: Tensor) -> Tensor:
        return cut[0].together(result) if cut[0] else result

    stack.callback(layer.register_forward_pre_hook(before).remove)
    stack.callback(layer.register_forward_hook(after).remove)


@dataclass(frozen=True, slots=True)
class _Cut:
    """One way to cut (B, h·w, D) or (B, C, h, w) into rows x columns tiles."""

    height: int
    width: int
    rows: int
    columns: int

    def apart(self, x: Tensor) -> Tensor:
        """Tiles become entries of the batch; the layout of `x` stays."""
        grid = x if x.ndim == 4 else x.mT.reshape(len(x), -1, self.height, self.width)
        height, width = self._tile
        tiles = grid.reshape(len(x), -1, self.rows, height, self.columns, width)
        batch = tiles.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
        return batch if x.ndim == 4 else batch.flatten(2).mT

    def together(self, x: Tensor) -> Tensor:
        """The inverse of `apart`."""
        batch = x if x.ndim == 4 else x.mT
        tiles = batch.reshape(-1, self.rows, self.columns, batch.shape[1], *self._tile)
        grid = tiles.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
        return grid if x.ndim == 4 else grid.flatten(2).mT

    @property
    def _tile(self) -> tuple[int, int]:
        return self.height // self.rows, self.width // self.columns


class _Cutter:
    """Knows the picture's size, and chooses a cut for each layer."""

    def __init__(self, options: TileOptions) -> None:
        self._options = options
        self._size = (0, 0)
        self._random = random.Random(0)

    def note_size(self, _: object, args: tuple[Any, ...]) -> None:
        """Before the network runs; (B, C, h, w) comes in. The choices begin anew."""
        self._size = (int(args[0].shape[-2]), int(args[0].shape[-1]))
        self._random = random.Random(0)

    def cut_for(self, x: Tensor) -> _Cut | None:
        """A cut for what comes into a layer; None: this layer stays whole."""
        size = self._level(x)
        if size is None:
            return None
        least = max(1, self._options.size // PIXELS_PER_CELL)
        rows, columns = (
            self._random.choice(possible_cuts(side, least, self._options.choices)) for side in size
        )
        return _Cut(*size, rows, columns) if rows * columns > 1 else None

    def _level(self, x: Tensor) -> tuple[int, int] | None:
        """(h, w) of the level that x belongs to, unless it lies deeper than allowed."""
        if x.ndim == 4:
            return int(x.shape[-2]), int(x.shape[-1])
        height, width = self._size
        for _ in range(self._options.max_depth + 1):
            if height * width == x.shape[1]:
                return height, width
            height, width = (height + 1) // 2, (width + 1) // 2
        return None
