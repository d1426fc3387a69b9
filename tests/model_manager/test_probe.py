from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from modules.model_manager.probe import probe_prediction
from modules.pipelines.base import EncodeOptions
from modules.pipelines.sd import StableDiffusion
from modules.pipelines.spec import Prediction
from modules.sampling.conditioning import Conditioning


class Ideal(StableDiffusion):
    """The best answer that a network of one kind can give when every image is grey."""

    def __init__(self, other: StableDiffusion, kind: Prediction) -> None:
        super().__init__(other.spec, other.networks)
        self.kind = kind

    def encode_prompts(self, texts: Sequence[str], options: EncodeOptions) -> list[Conditioning]:
        return [Conditioning(torch.zeros(1, 77, 8)) for _ in texts]

    def predict(self, x: torch.Tensor, t: torch.Tensor, cond: Conditioning) -> torch.Tensor:
        alpha = self.alphas_cumprod[t.long()].view(-1, 1, 1, 1)
        noise = x / (1 - alpha).sqrt()
        return noise if self.kind == "epsilon" else alpha.sqrt() * noise


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["epsilon", "v"])
def test_prediction_is_told_apart(tiny15: StableDiffusion, kind: Prediction, noise: float) -> None:
    class Imperfect(Ideal):
        def predict(self, x: torch.Tensor, t: torch.Tensor, cond: Conditioning) -> torch.Tensor:
            wrong = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
            return super().predict(x, t, cond) + noise * wrong

    assert probe_prediction(Imperfect(tiny15, kind)) == kind
