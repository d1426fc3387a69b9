"""Noise by seed: every image has its own generator, so it is the same alone and in a batch.

Knows seeds and shapes; no sampler, no model. Numbers equal A1111 1.10's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from modules.sampling.options import RandomSource
from modules.sampling.philox import PhiloxGenerator

Draw = Callable[[Sequence[int]], Tensor]
"""shape -> standard normal float32 on the CPU or the generator's device."""

SEEDS = 2**64
"""A seed beyond the last one, with a delta added, counts on from 0."""

PARALLEL_DOT = 0.9995
"""Mean cosine above which slerp falls back to a straight line."""


def generator(seed: int, source: RandomSource, device: torch.device) -> Draw:
    """A stream of normal numbers that starts at `seed`.

    "GPU" draws on `device` where that is a CUDA device, else like "CPU"; "NV" makes CUDA's
    numbers on the CPU.
    """
    seed %= SEEDS
    if source == "NV":
        philox = PhiloxGenerator(seed)
        return lambda shape: torch.from_numpy(philox.randn(shape))
    on = device if source == "GPU" and device.type == "cuda" else torch.device("cpu")
    stream = torch.Generator(on).manual_seed(seed)
    return lambda shape: torch.randn(tuple(shape), generator=stream, device=on)


@dataclass(frozen=True, slots=True)
class NoiseRequest:
    """Which noise a batch wants.

    shape: (C, h, w) of one latent. seeds: one per image. subseeds: as many, or empty.
    resize_from: (h, w) in latent pixels of the picture whose composition to keep, or None.
    """

    shape: tuple[int, int, int]
    seeds: tuple[int, ...]
    subseeds: tuple[int, ...] = ()
    subseed_strength: float = 0.0
    resize_from: tuple[int, int] | None = None
    seed_delta: int = 0
    source: RandomSource = "GPU"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


class ImageNoise:
    """The noises of a batch: the first from seeds and subseeds, the next from the generators."""

    def __init__(self, request: NoiseRequest) -> None:
        self.request = request
        self._streams = self._start(seed_delta=0)
        self._is_first = True

    def next(self) -> Tensor:
        """(B, C, h, w) float32 standard normal noise on the request's device."""
        if self._is_first:
            self._is_first = False
            return self._first()
        noises = [draw(self.request.shape) for draw in self._streams]
        return torch.stack(noises).to(self.request.device)

    def _first(self) -> Tensor:
        noises = [self._first_of(index) for index in range(len(self.request.seeds))]
        if self.request.seed_delta:
            self._streams = self._start(self.request.seed_delta)
        return torch.stack(noises).to(self.request.device)

    def _first_of(self, index: int) -> Tensor:
        """(C, h, w) noise of one image: seed, then subseed, then the canvas around it."""
        request = self.request
        own = self._streams[index](request.shape)
        drawn = request.shape
        noise = own
        if request.resize_from is not None:
            drawn = (request.shape[0], *request.resize_from)
            if drawn != request.shape:
                noise = self._draw_once(request.seeds[index], drawn)
        if request.subseeds and request.subseed_strength != 0:
            subnoise = self._draw_once(request.subseeds[index], drawn)
            noise = slerp(request.subseed_strength, noise, subnoise)
        return noise if drawn == request.shape else paste_centred(own, noise)

    def _start(self, seed_delta: int) -> list[Draw]:
        return [self._stream(seed + seed_delta) for seed in self.request.seeds]

    def _draw_once(self, seed: int, shape: Sequence[int]) -> Tensor:
        return self._stream(seed)(shape)

    def _stream(self, seed: int) -> Draw:
        return generator(seed, self.request.source, self.request.device)


def slerp(strength: float, low: Tensor, high: Tensor) -> Tensor:
    """Spherical interpolation from `low` (0) to `high` (1), both (C, h, w).

    Norms and angles are taken along dim 1, the rows of a latent: A1111 1.10 behaviour.
    """
    low_unit = low / torch.norm(low, dim=1, keepdim=True)
    high_unit = high / torch.norm(high, dim=1, keepdim=True)
    dot = (low_unit * high_unit).sum(1)
    if dot.mean() > PARALLEL_DOT:
        return low * strength + high * (1 - strength)
    omega = torch.acos(dot)
    sine = torch.sin(omega)
    from_low = (torch.sin((1.0 - strength) * omega) / sine).unsqueeze(1) * low
    return from_low + (torch.sin(strength * omega) / sine).unsqueeze(1) * high


def paste_centred(canvas: Tensor, noise: Tensor) -> Tensor:
    """A copy of `canvas` (C, H, W) with `noise` (C, h, w) over its centre, cropped where larger."""
    result = canvas.clone()
    to_y, from_y, height = _overlap(canvas.shape[1], noise.shape[1])
    to_x, from_x, width = _overlap(canvas.shape[2], noise.shape[2])
    result[:, to_y : to_y + height, to_x : to_x + width] = noise[
        :, from_y : from_y + height, from_x : from_x + width
    ]
    return result


def _overlap(canvas: int, noise: int) -> tuple[int, int, int]:
    """Start in the canvas, start in the noise, and length of what they share along one axis."""
    shift = (canvas - noise) // 2
    length = noise if shift >= 0 else noise + 2 * shift
    return max(shift, 0), max(-shift, 0), length
