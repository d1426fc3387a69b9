"""The closed-form encoder: whitened PCA of 8×8 blocks, written exactly into an AutoencoderKL.

Latents are then known before any training: unit variance, uncorrelated, linear in the pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

BLOCK_PX = 8
LATENT_CHANNELS = 4
VAE_WIDTHS = (32, 64, 64, 128)
NORM_GROUPS = 32
SCALING_FACTOR = 0.18215
# Constant channels that pin GroupNorm's variance: relative error of a latent z is (z / PIN)².
PIN = 512.0
LOG_VARIANCE = -30.0


@dataclass(frozen=True, slots=True)
class BlockPca:
    """`latent = weight @ block + bias`; weight (4, 3·8·8), bias (4,), pixels in [-1, 1]."""

    weight: Tensor
    bias: Tensor

    def encode(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) in [-1, 1] → scaled latents (B, 4, H/8, W/8), unit variance."""
        kernel = self.weight.view(LATENT_CHANNELS, 3, BLOCK_PX, BLOCK_PX)
        return nn.functional.conv2d(images, kernel, self.bias, stride=BLOCK_PX)

    def decode(self, latents: Tensor) -> Tensor:
        """Least-squares inverse: blocky pictures (B, 3, H, W) in [-1, 1], for previews."""
        inverse = torch.linalg.pinv(self.weight).T.reshape(LATENT_CHANNELS, 3, BLOCK_PX, BLOCK_PX)
        centred = latents - self.bias[:, None, None]
        pixels = nn.functional.conv_transpose2d(centred, inverse, stride=BLOCK_PX)
        return pixels.clamp(-1, 1)


def fit_block_pca(images: Iterable[np.ndarray]) -> BlockPca:
    """Fit on pictures (H, W, 3) uint8: four whitened principal components of their blocks."""
    size = 3 * BLOCK_PX * BLOCK_PX
    total, products, count = np.zeros(size), np.zeros((size, size)), 0
    for image in images:
        height, width = image.shape[0] // BLOCK_PX, image.shape[1] // BLOCK_PX
        blocks = image.reshape(height, BLOCK_PX, width, BLOCK_PX, 3).transpose(0, 2, 4, 1, 3)
        flat = blocks.reshape(-1, size) / 127.5 - 1
        total += flat.sum(0)
        products += flat.T @ flat
        count += len(flat)
    mean = total / count
    values, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    weight = (vectors[:, ::-1][:, :LATENT_CHANNELS] / np.sqrt(values[::-1][:LATENT_CHANNELS])).T
    weight = weight * np.sign(weight.sum(1, keepdims=True))
    bias = -weight @ mean
    return BlockPca(torch.tensor(weight).float(), torch.tensor(bias).float())


def build_vae() -> AutoencoderKL:
    """A fresh AutoencoderKL of SD's shape; residual branches start at zero."""
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=VAE_WIDTHS,
        layers_per_block=2,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=NORM_GROUPS,
        sample_size=128,
        scaling_factor=SCALING_FACTOR,
    )
    with torch.no_grad():
        for name, parameter in vae.named_parameters():
            if ".conv2." in name or ".to_out.0." in name:
                parameter.zero_()
    return vae


@torch.no_grad()
def write_encoder(vae: AutoencoderKL, pca: BlockPca) -> None:
    """Overwrite the encoder so that `encode(x).mode() * 0.18215 == pca.encode(x)`."""
    encoder = vae.encoder
    _identity_tap(encoder.conv_in, 3)
    channels = 3
    for level, block in enumerate(encoder.down_blocks):
        for resnet in block.resnets:
            _zero(resnet.conv2)
            if resnet.conv_shortcut is not None and level < 3:
                _identity_tap(resnet.conv_shortcut, channels)
        if level < 2:
            _space_to_depth(block.downsamplers[0].conv, channels)
            channels *= 4
    _project(encoder.down_blocks[2].downsamplers[0].conv, pca)
    _pin(encoder.down_blocks[3].resnets[0].conv_shortcut)
    for resnet in encoder.mid_block.resnets:
        _zero(resnet.conv2)
    _zero(encoder.mid_block.attentions[0].to_out[0])
    _write_output(vae)


@torch.no_grad()
def read_encoder(vae: AutoencoderKL) -> BlockPca:
    """What `write_encoder` wrote into this autoencoder, as exactly as its weights hold it."""
    conv = vae.encoder.down_blocks[2].downsamplers[0].conv
    kernel = torch.zeros(LATENT_CHANNELS, 3, BLOCK_PX, BLOCK_PX)
    for source in range(48):
        colour, row, column = _place_of(source)
        kernel[:, colour, row::4, column::4] = conv.weight[
            :LATENT_CHANNELS, source, :2, :2
        ].detach()
    return BlockPca(kernel.flatten(1), _bias(conv)[:LATENT_CHANNELS].clone())


def _zero(layer: nn.Conv2d | nn.Linear) -> None:
    layer.weight.zero_()
    _bias(layer).zero_()


def _identity_tap(conv: nn.Conv2d, channels: int) -> None:
    """Pass the first `channels` channels through unchanged; the others become zero."""
    conv.weight.zero_()
    _bias(conv).zero_()
    centre = conv.kernel_size[0] // 2
    for channel in range(channels):
        conv.weight[channel, channel, centre, centre] = 1


def _space_to_depth(conv: nn.Conv2d, channels: int) -> None:
    """Stride 2: output channel 4c + 2y + x is channel c at offset (y, x) of each 2×2 block."""
    conv.weight.zero_()
    _bias(conv).zero_()
    for channel in range(channels):
        for row in range(2):
            for column in range(2):
                conv.weight[4 * channel + 2 * row + column, channel, row, column] = 1


def _project(conv: nn.Conv2d, pca: BlockPca) -> None:
    """Stride 2 on 48 channels (4×4 pixels of 3 colours): the 4 components of each 8×8 block."""
    _zero(conv)
    kernel = pca.weight.view(LATENT_CHANNELS, 3, BLOCK_PX, BLOCK_PX)
    for source in range(48):
        colour, row, column = _place_of(source)
        conv.weight[:LATENT_CHANNELS, source, :2, :2] = kernel[:, colour, row::4, column::4]
    _bias(conv)[:LATENT_CHANNELS] = pca.bias


def _place_of(source: int) -> tuple[int, int, int]:
    """(colour, row, column) within 4×4 pixels of a channel after both halvings."""
    colour, first, second = source // 16, source // 4 % 4, source % 4
    # A pixel's row within 4: the first halving gives bit 0, the second bit 1.
    return colour, first // 2 + 2 * (second // 2), first % 2 + 2 * (second % 2)


def _pin(conv: nn.Conv2d) -> None:
    """1×1: each norm group holds (z, -z, PIN, -PIN); z is zero from the fifth group on."""
    conv.weight.zero_()
    _bias(conv).copy_(torch.tensor([0, 0, PIN, -PIN]).repeat(NORM_GROUPS))
    for component in range(LATENT_CHANNELS):
        conv.weight[4 * component, component] = 1
        conv.weight[4 * component + 1, component] = -1


def _write_output(vae: AutoencoderKL) -> None:
    """Undo the norm's scale, use silu(z) - silu(-z) = z, give a vanishing variance."""
    norm, out = vae.encoder.conv_norm_out, vae.encoder.conv_out
    norm.weight.fill_(PIN / 2**0.5)
    norm.bias.zero_()
    out.weight.zero_()
    _bias(out).zero_()
    group = norm.num_channels // NORM_GROUPS
    for component in range(LATENT_CHANNELS):
        out.weight[component, group * component, 1, 1] = 1 / SCALING_FACTOR
        out.weight[component, group * component + 1, 1, 1] = -1 / SCALING_FACTOR
    _bias(out)[LATENT_CHANNELS:] = LOG_VARIANCE
    _identity_tap(vae.quant_conv, 2 * LATENT_CHANNELS)


def _bias(conv: nn.Conv2d | nn.Linear) -> Tensor:
    if conv.bias is None:
        raise TypeError(f"a layer without bias: {conv}")
    return conv.bias
