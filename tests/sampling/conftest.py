"""A model whose data are a known Gaussian, so that samplers' results can be worked out by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.sampling.conditioning import Conditioning, constant
from modules.sampling.denoiser import NoiseSchedule
from modules.sampling.noise import ImageNoise, NoiseRequest
from modules.sampling.plan import Prompts, SampledModel

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
SPREAD = 0.4


def sd15_alphas() -> Tensor:
    """alphas_cumprod of SD1.5's scaled-linear betas, (1000,) float32."""
    roots = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64)
    return torch.cumprod(1 - roots**2, dim=0).float()


@dataclass
class GaussianNetwork:
    """Noise prediction for data of mean `crossattn[:, 0, 0]` and deviation SPREAD."""

    schedule: NoiseSchedule
    prediction: str = "epsilon"
    rows: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    concats: list[Tensor | None] = field(default_factory=list)

    def __call__(self, x: Tensor, t: Tensor, cond: Conditioning) -> Tensor:
        self.rows.append(len(x))
        self.lengths.append(cond.length)
        self.times.append(float(t[0]))
        self.concats.append(cond.concat)
        sigma = self.schedule.t_to_sigma(t.clamp(0, 999)).view(-1, 1, 1, 1)
        mean = cond.crossattn[:, 0, 0].view(-1, 1, 1, 1)
        noisy = x * (1 + sigma**2) ** 0.5
        clean = (noisy * SPREAD**2 + mean * sigma**2) / (SPREAD**2 + sigma**2)
        eps = (noisy - clean) / sigma
        if self.prediction == "epsilon":
            return eps
        return (eps - sigma * clean) / (1 + sigma**2) ** 0.5


def text(mean: float, length: int = 77) -> Conditioning:
    """Conditioning of one image whose data have this mean; (1, length, 2)."""
    return Conditioning(crossattn=torch.full((1, length, 2), mean))


def prompts(count: int, positive: float = 1.0, negative: float = 1.0) -> Prompts:
    """The same two means for `count` images."""
    one = ((1.0, constant(text(positive))),)
    return Prompts([one] * count, [constant(text(negative))] * count)


def noise(count: int, seed: int = 1, size: int = 16) -> ImageNoise:
    """Noise of `count` images of (4, size, size)."""
    return ImageNoise(NoiseRequest((4, size, size), tuple(range(seed, seed + count))))


@dataclass
class Toys:
    """What the tests of this folder build with."""

    schedule: NoiseSchedule
    spread: float = SPREAD

    text = staticmethod(text)
    prompts = staticmethod(prompts)
    noise = staticmethod(noise)

    def network(self, prediction: str = "epsilon") -> GaussianNetwork:
        return GaussianNetwork(self.schedule, prediction)

    def model(self, network: GaussianNetwork | None = None, **changes: Any) -> SampledModel:
        return SampledModel(network or self.network(), self.schedule.alphas_cumprod, **changes)

    @staticmethod
    def golden(name: str) -> Any:
        return json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.fixture
def toys() -> Toys:
    return Toys(NoiseSchedule(sd15_alphas()))
