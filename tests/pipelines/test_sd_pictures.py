"""Pictures of A1111 1.10.1 (torch 2.1, CPU, float32), made again by the shortest Euler loop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.pipelines.base import EncodeOptions
from modules.pipelines.sd import StableDiffusion

CASES = (
    "samplers_20-Euler",
    "clip_skip-2",
    "emphasis_mode-No_norm",
    "prompts-long",
    "size-72x136",
)
# Levels of 255. Two torch versions differ by rounding, which 8-bit truncation can turn into 1.
MEAN, NEARLY_ALL = 0.05, 2


def euler(pipeline: StableDiffusion, body: dict[str, Any]) -> torch.Tensor:
    """Latent of Euler on the "Automatic" schedule (linear in t), k-diffusion's shape."""
    overrides = body.get("override_settings", {})
    options = EncodeOptions(
        clip_skip=overrides.get("CLIP_stop_at_last_layers", 1),
        emphasis=overrides.get("emphasis", "Original"),
    )
    (cond,) = pipeline.encode_prompts([body["prompt"]], options)
    (uncond,) = pipeline.encode_prompts([body["negative_prompt"]], options)
    alphas = pipeline.alphas_cumprod
    log_sigmas = ((1 - alphas) / alphas).sqrt().log()
    times = torch.linspace(999, 0, body["steps"])
    low, high = times.floor().long(), times.ceil().long()
    sigmas = torch.lerp(log_sigmas[low], log_sigmas[high], times - low).exp()
    sigmas = torch.cat((sigmas, torch.zeros(1)))
    generator = torch.Generator().manual_seed(body["seed"])
    shape = (1, 4, body["height"] // 8, body["width"] // 8)
    x = torch.randn(shape, generator=generator) * sigmas[0]
    for time, sigma, following in zip(times, sigmas, sigmas[1:]):
        scaled = x / (sigma**2 + 1).sqrt()
        noise = pipeline.predict(scaled, time.view(1), cond)
        without = pipeline.predict(scaled, time.view(1), uncond)
        guided = without + (noise - without) * body["cfg_scale"]
        x = x + guided * (following - sigma)
    return x


@pytest.mark.parametrize("case", CASES)
def test_picture_is_a1111s(tiny15: StableDiffusion, data: Path, case: str) -> None:
    body = json.loads((data / "pictures" / f"{case}.json").read_text())["body"]
    expected = np.asarray(Image.open(data / "pictures" / f"{case}.png").convert("RGB"), np.int16)
    image = tiny15.decode(euler(tiny15, body))
    made = (image[0].permute(1, 2, 0) * 255).to(torch.uint8).numpy().astype(np.int16)
    difference = np.abs(made - expected)
    assert difference.mean() < MEAN
    assert np.quantile(difference, 0.995) <= NEARLY_ALL
