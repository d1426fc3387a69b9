"""Small stand-ins for the autoencoder: TAESD (Bohan, github.com/madebyollin/taesd, MIT).

Latents are the scaled ones that the network works with. Knows no files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from diffusers.models.autoencoders.vae import DecoderTiny, EncoderTiny
from torch import Tensor

SIDE = 128
"""Pixels of the sample picture that a stand-in is measured with."""
_DECODER_BLOCKS, _ENCODER_BLOCKS = (3, 3, 3, 1), (1, 3, 3, 3)
"""Residual blocks of each level, as TAESD has them."""


@dataclass(frozen=True, slots=True, eq=False)
class TinyDecoder:
    """Latents to pictures, in float32."""

    network: DecoderTiny

    @torch.no_grad()
    def __call__(self, latent: Tensor) -> Tensor:
        """Picture (B, 3, H, W) float32 in [0, 1] of latent (B, C, h, w), scaled."""
        weight = next(self.network.parameters())
        picture = cast(Tensor, self.network(latent.to(weight)))
        return picture.add(1).div(2).clamp(0, 1)


@dataclass(frozen=True, slots=True, eq=False)
class TinyEncoder:
    """Pictures to latents, in float32."""

    network: EncoderTiny

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        """Latent (B, C, h, w) float32, scaled, of image (B, 3, H, W) in [-1, 1]."""
        weight = next(self.network.parameters())
        return cast(Tensor, self.network(image.to(weight)))


def tiny_decoder(weights: dict[str, Tensor]) -> TinyDecoder:
    """The decoder of these weights, `layers.0.weight` and on.

    Raises KeyError, RuntimeError or ValueError where they are not those of one.
    """
    width, channels, _, _ = weights["layers.0.weight"].shape
    with torch.device("meta"):
        network = DecoderTiny(
            channels, 3, _DECODER_BLOCKS, (width,) * 4, 2, act_fn="relu", upsample_fn="nearest"
        )
    return TinyDecoder(cast(DecoderTiny, _filled(network, weights)))


def tiny_encoder(weights: dict[str, Tensor]) -> TinyEncoder:
    """The encoder of these weights; see `tiny_decoder`."""
    channels = weights["layers.14.weight"].shape[0]
    width = weights["layers.0.weight"].shape[0]
    with torch.device("meta"):
        network = EncoderTiny(3, channels, _ENCODER_BLOCKS, (width,) * 4, act_fn="relu")
    return TinyEncoder(cast(EncoderTiny, _filled(network, weights)))


def decoder_error(decoder: Callable[[Tensor], Tensor], latent: Tensor, picture: Tensor) -> float:
    """Mean difference, 0 to 1, between what it makes of `latent` and the model's `picture`."""
    return float((decoder(latent).cpu() - picture.cpu()).abs().mean())


def sample_picture() -> Tensor:
    """(1, 3, SIDE, SIDE) float32 in [-1, 1]: soft colours on the left, hard edges on the right."""
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand((1, 3, 8, 8), generator=generator)
    soft = torch.nn.functional.interpolate(colours, SIDE, mode="bilinear")
    hard = torch.nn.functional.interpolate(colours, SIDE, mode="nearest")
    return torch.cat((soft[..., : SIDE // 2], hard[..., SIDE // 2 :]), dim=-1) * 2 - 1


def _filled(network: torch.nn.Module, weights: dict[str, Tensor]) -> torch.nn.Module:
    wide = {name: weight.float() for name, weight in weights.items()}
    network.load_state_dict(wide, assign=True)
    return network.eval().requires_grad_(False)
