"""Pictures whose sides are multiples of 8 but not of 64, as A1111 makes them.

A level whose side is odd comes back one cell larger from the way down and up. A1111 1.10
doubles, convolves and then resizes to the size of the skip connection; diffusers resizes before it
convolves, which gives a visibly different picture.
"""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.upsampling import Upsample2D


class ResizeAfterUpsample(Upsample2D):  # type: ignore[misc]
    """Upsample2D that doubles and convolves whatever size is wanted, and resizes at the end."""

    def forward(
        self, hidden_states: torch.Tensor, output_size: torch.Size | None = None
    ) -> torch.Tensor:
        """(B, C, h, w) to (B, C', 2h, 2w), or to `output_size` by nearest neighbour."""
        doubled: torch.Tensor = super().forward(hidden_states)
        if output_size is None or doubled.shape[-2:] == output_size:
            return doubled
        return torch.nn.functional.interpolate(doubled, size=output_size, mode="nearest")


def accept_odd_sizes(unet: UNet2DConditionModel) -> None:
    """Replace the upsampling layers of `unet`, before its weights are loaded."""
    for block in unet.up_blocks:
        for index, layer in enumerate(block.upsamplers or ()):
            block.upsamplers[index] = ResizeAfterUpsample(
                layer.channels, use_conv=True, out_channels=layer.out_channels
            )
