"""Pictures that can be laid side by side: convolutions that see the opposite edge at a border."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def circular_convolutions(*networks: torch.nn.Module) -> Iterator[None]:
    """Pad every 2D convolution with what lies at the opposite edge, until the block ends.

    Only `padding_mode` is touched; what it was comes back, whatever happens inside.
    """
    layers = [
        layer
        for network in networks
        for layer in network.modules()
        if isinstance(layer, torch.nn.Conv2d)
    ]
    before = [layer.padding_mode for layer in layers]
    try:
        for layer in layers:
            layer.padding_mode = "circular"
        yield
    finally:
        for layer, mode in zip(layers, before, strict=True):
            layer.padding_mode = mode
