"""What a loaded model says to a fixed question, to tell models apart."""

from __future__ import annotations

import torch

from modules.pipelines.base import EncodeOptions, Pipeline


def answer(pipeline: Pipeline) -> torch.Tensor:
    """Its epsilon or v, (1, 4, 8, 8), for a latent of ones and the prompt "a fox"."""
    (cond,) = pipeline.encode_prompts(["a fox"], EncodeOptions())
    return pipeline.predict(torch.ones(1, 4, 8, 8), torch.tensor([10.0]), cond)
