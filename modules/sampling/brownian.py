"""Brownian motion by seed, the noise of the DPM++ SDE samplers.

A sample path that depends on the seed alone, not on where it is looked at: the interval is
halved down to the queried times, and every halving draws its own bridge noise (Li et al. 2020,
"Scalable gradients for SDEs", section 4). Numbers equal torchsde's BrownianTree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modules.sampling.noise import generator
from modules.sampling.options import RandomSource

TIME_DIGITS = 6
"""Times are rounded to this many decimals; halving ends there."""

POOL_SIZE = 24
SeededDraw = Callable[[int], Tensor]
"""seed -> standard normal noise of the path's shape."""


@dataclass(frozen=True, slots=True)
class _Span:
    """One node of the halving tree: times, place in the tree, and the path's increment."""

    start: float
    end: float
    key: int
    depth: int
    increment: Tensor


class BrownianPath:
    """One sample path over [start, end]."""

    def __init__(self, start: float, end: float, entropy: int, draw: SeededDraw) -> None:
        self._entropy = entropy
        self._draw = draw
        start, end = round(start, TIME_DIGITS), round(end, TIME_DIGITS)
        increment = draw(self._seeds()[0]) * math.sqrt(end - start)
        self._whole = _Span(start, end, key=0, depth=0, increment=increment)

    def increment(self, start: float, end: float) -> Tensor:
        """W(end) - W(start) for start <= end, clipped to the path's interval."""
        low, high = self._whole.start, self._whole.end
        start = min(max(round(start, TIME_DIGITS), low), high)
        end = min(max(round(end, TIME_DIGITS), low), high)
        if start >= end:
            return torch.zeros_like(self._whole.increment)
        pieces = self._pieces(self._whole, start, end)
        total = next(pieces)
        for piece in pieces:
            total = total + piece
        return total

    def _pieces(self, span: _Span, start: float, end: float) -> Iterator[Tensor]:
        """Increments of the largest nodes that tile [start, end], from left to right."""
        if start == span.start and end == span.end:
            yield span.increment
            return
        left, right = self._halves(span)
        if start < left.end:
            yield from self._pieces(left, start, min(end, left.end))
        if end > left.end:
            yield from self._pieces(right, max(start, left.end), end)

    def _halves(self, span: _Span) -> tuple[_Span, _Span]:
        middle = round(0.5 * (span.end + span.start), TIME_DIGITS)
        to_left, to_right = middle - span.start, span.end - middle
        per_length = 1 / (span.end - span.start)
        bridge = self._draw(self._seeds(span.key, span.depth)[0])
        mean = to_left * span.increment * per_length
        left = mean + math.sqrt(to_left * to_right * per_length) * bridge
        depth = span.depth + 1
        return (
            _Span(span.start, middle, 2 * span.key, depth, left),
            _Span(middle, span.end, 2 * span.key + 1, depth, span.increment - left),
        )

    def _seeds(self, *spawn_key: int) -> list[int]:
        sequence = np.random.SeedSequence(
            entropy=self._entropy, spawn_key=spawn_key, pool_size=POOL_SIZE
        )
        return [int(word) for word in sequence.generate_state(4)]


class BrownianNoise:
    """(sigma, sigma_next) -> (B, C, h, w) unit-variance noise, one path per image."""

    def __init__(
        self,
        like: Tensor,
        sigmas: Tensor,
        seeds: Sequence[int],
        source: RandomSource,
    ) -> None:
        """like: (B, C, h, w) on the wanted device; sigmas: the job's whole schedule."""
        shape, device = tuple(like.shape[1:]), like.device
        low, high = float(sigmas[sigmas > 0].min()), float(sigmas.max())

        def draw(seed: int) -> Tensor:
            return generator(seed, source, device)(shape).to(device)

        self._paths = [BrownianPath(low, high, seed, draw) for seed in seeds]

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        low, high = sorted((float(sigma), float(sigma_next)))
        sign = 1 if float(sigma) <= float(sigma_next) else -1
        moved = torch.stack([path.increment(low, high) for path in self._paths]) * sign
        return moved / (sigma_next - sigma).abs().sqrt()
