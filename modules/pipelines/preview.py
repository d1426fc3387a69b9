"""Rough pictures from latents by a linear map, for live previews."""

from __future__ import annotations

from collections.abc import Callable

import torch

from modules.pipelines.spec import PreviewFactors

_FIT_SIZE = 16
"""Latent side of the sample that a fit decodes: 256 equations for latent channels + 1 unknowns."""


def apply_preview(factors: PreviewFactors, latent: torch.Tensor) -> torch.Tensor:
    """Colours (B, 3, h, w) float32 in [0, 1] of latent (B, C, h, w), on the CPU."""
    matrix = torch.tensor(factors.matrix)
    bias = torch.tensor(factors.bias).view(1, 3, 1, 1)
    colours = torch.einsum("bchw,cr->brhw", latent.float().cpu(), matrix)
    return (colours + bias).clamp(0, 1)


def fit_preview(
    decode: Callable[[torch.Tensor], torch.Tensor], channels: int, device: torch.device
) -> PreviewFactors:
    """Least squares fit of the colours that `decode` gives to the latent cells of a fixed sample.

    For autoencoders whose latent space is not one of the published ones. `decode` maps
    (1, C, h, w) to (1, 3, H, W) in [0, 1].
    """
    generator = torch.Generator().manual_seed(0)
    cells = torch.randn((1, channels, _FIT_SIZE // 2, _FIT_SIZE // 2), generator=generator)
    latent = torch.nn.functional.interpolate(cells, size=_FIT_SIZE, mode="nearest")
    image = decode(latent.to(device)).float().cpu()
    colours = torch.nn.functional.adaptive_avg_pool2d(image, _FIT_SIZE)
    known = torch.cat((latent, torch.ones(1, 1, _FIT_SIZE, _FIT_SIZE)), dim=1)
    solution = torch.linalg.lstsq(
        known.flatten(2)[0].T.double(), colours.flatten(2)[0].T.double()
    ).solution.tolist()
    rows = [(float(r), float(g), float(b)) for r, g, b in solution]
    return PreviewFactors(tuple(rows[:-1]), rows[-1])
