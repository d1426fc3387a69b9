"""Channels beside the latent: of inpainting models (mask and masked picture) and of
instruct-pix2pix (the picture).

Inpainting: Rombach et al. 2022, section 4.5; instruct-pix2pix: Brooks et al. 2023, section 3.2.
Which picture a text-to-image job shows to them is A1111 1.10 behaviour.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import torch
from torch import Tensor

from modules.pipelines.base import Pipeline


class ImageInput(StrEnum):
    """What a network takes beside the latent."""

    NONE = "none"
    INPAINTING = "inpainting"
    EDIT = "edit"


def image_input(pipeline: Pipeline) -> ImageInput:
    """What the network of a loaded model takes."""
    further = pipeline.spec.in_channels - pipeline.spec.latent_channels
    if further == pipeline.spec.latent_channels + 1:
        return ImageInput.INPAINTING
    return ImageInput.EDIT if further == pipeline.spec.latent_channels else ImageInput.NONE


def blank_cond(pipeline: Pipeline, shape: torch.Size) -> Tensor | None:
    """For a job without a picture: grey with everything masked, or no picture at all.

    shape: (B, C, h, w) of the latent.
    """
    kind = image_input(pipeline)
    if kind is ImageInput.EDIT:
        return torch.zeros(shape, device=pipeline.device)
    if kind is ImageInput.NONE:
        return None
    count, _, height, width = shape
    grey = torch.zeros((1, 3, height * 8, width * 8))
    latent = pipeline.encode_image(grey)
    return _with_mask(torch.ones((1, 1, height, width)), latent).expand(count, -1, -1, -1)


def picture_cond(
    pipeline: Pipeline,
    pictures: Tensor,
    paint: Tensor | None,
    weight: float,
    generators: Sequence[torch.Generator],
) -> Tensor | None:
    """For pictures (B, 3, H, W) in [-1, 1] and mask (B, 1, H, W) in 0..1 (None: all masked).

    weight: how much of the masked part is hidden from an inpainting model (0..1). generators: one
    per picture, for the VAE's posterior.
    """
    kind = image_input(pipeline)
    if kind is ImageInput.NONE:
        return None
    if kind is ImageInput.EDIT:
        return pipeline.encode_image(pictures) / pipeline.spec.scale_factor
    if paint is None:
        paint = torch.ones((len(pictures), 1, *pictures.shape[2:]))
    paint = paint.to(pictures)
    hidden = torch.lerp(pictures, pictures * (1 - paint), weight)
    latent = pipeline.encode_image(hidden, generators)
    mask = torch.nn.functional.interpolate(paint, size=latent.shape[-2:])
    return _with_mask(mask, latent)


def _with_mask(mask: Tensor, latent: Tensor) -> Tensor:
    return torch.cat((mask.to(latent), latent), dim=1)
