"""Finding out by experiment what a network answers, where neither file nor yaml says it."""

from __future__ import annotations

import torch

from modules.pipelines.base import EncodeOptions, Pipeline
from modules.pipelines.spec import Prediction

_SIDE = 32
"""Latent side of the experiment: 4096 values are plenty for a slope."""
_THRESHOLD = 0.5


def probe_prediction(pipeline: Pipeline) -> Prediction:
    """Tell noise from v prediction by one call at the noisiest timestep.

    There x_t is almost pure noise, and alpha is near 0: a noise predictor answers about 1 times
    its input, while v = alpha·noise - sigma·image follows the noise with the factor alpha only.
    v: Salimans & Ho, "Progressive distillation", 2022, appendix D.
    """
    if pipeline.spec.in_channels != pipeline.spec.latent_channels:
        return "epsilon"  # every published SD2 model with further inputs predicts noise
    (cond,) = pipeline.encode_prompts([""], EncodeOptions())
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((1, pipeline.spec.latent_channels, _SIDE, _SIDE), generator=generator)
    last = torch.tensor([len(pipeline.alphas_cumprod) - 1.0])
    answer = pipeline.predict(noise, last, cond).cpu()
    slope = (noise * (answer - answer.mean())).mean() / noise.var()
    return "epsilon" if slope > _THRESHOLD else "v"
