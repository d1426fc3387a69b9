"""Stable Diffusion XL, base and refiner: SD plus a vector of pooled text and picture size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from modules.pipelines.base import EncodeOptions
from modules.pipelines.sd import StableDiffusion
from modules.sampling.conditioning import Conditioning

SIZE_FEATURES = 256
"""Sinusoids per number of the vector."""


class StableDiffusionXL(StableDiffusion):
    """Pipeline of SDXL (see `base.Pipeline`)."""

    def encode_prompts(self, texts: Sequence[str], options: EncodeOptions) -> list[Conditioning]:
        """See `base.Pipeline`; an empty negative prompt becomes zeros, the sizes stay."""
        conds = super().encode_prompts(texts, options)
        if options.is_negative and not any(texts):
            return [self._without_text(cond) for cond in conds]
        return conds

    def _vectors(
        self, texts: Sequence[str], pooled: torch.Tensor | None, options: EncodeOptions
    ) -> torch.Tensor | None:
        if pooled is None:
            return None
        numbers = torch.tensor([float(getattr(options, name)) for name in self.spec.size_vector])
        sizes = sinusoids(numbers, SIZE_FEATURES).flatten().to(pooled)
        return torch.cat((pooled, sizes.expand(len(texts), -1)), dim=-1)

    def _without_text(self, cond: Conditioning) -> Conditioning:
        if cond.vector is None:
            return cond
        vector = cond.vector.clone()
        vector[:, : vector.shape[1] - SIZE_FEATURES * len(self.spec.size_vector)] = 0
        return Conditioning(torch.zeros_like(cond.crossattn), vector, cond.concat)


def sinusoids(numbers: torch.Tensor, features: int) -> torch.Tensor:
    """Embedding (n, features) float32 of numbers (n,): cosines, sines (Vaswani et al., 3.5)."""
    half = features // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
    angles = numbers.float().unsqueeze(-1) * frequencies
    return torch.cat((angles.cos(), angles.sin()), dim=-1)
