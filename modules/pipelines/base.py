"""What every model family offers to the layers above: encode a prompt, predict, encode and decode.

Shapes: h = H/8, w = W/8; C is the latent's channels, L a multiple of 77 tokens, D the text width.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch

from modules.pipelines.spec import Spec
from modules.pipelines.tiled_attention import TileOptions
from modules.prompt.attention import Emphasis
from modules.sampling.conditioning import Conditioning


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """What decides, beside the text, how a prompt is encoded. Names of A1111's settings apart."""

    clip_skip: int = 1
    """1: the last state of the text encoder, 2: the one before, …"""
    emphasis: Emphasis = "Original"
    comma_padding_backtrack: int = 20
    """Tokens; how far back a full chunk is broken at a comma."""
    sdxl_clip_l_skip: bool = False
    """Whether the clip skip applies to SDXL's first text encoder."""
    width: int = 1024
    """Pixels of the picture; with height and crop they enter SDXL's vector."""
    height: int = 1024
    crop_top: int = 0
    crop_left: int = 0
    aesthetic_score: float = 6.0
    """Of SDXL's refiner; A1111 takes 6.0 for the prompt and 2.5 for the negative prompt."""
    is_negative: bool = False
    """SDXL: an empty negative prompt is encoded as zeros, as it was trained."""


class Pipeline(Protocol):
    """A loaded model. Not thread-safe: one user at a time, as `ModelManager.use` guarantees."""

    spec: Spec
    alphas_cumprod: torch.Tensor
    """(1000,) float32 on the CPU: the noise schedule that the model was trained with."""

    text_key: Hashable
    """What beside text and options decides how prompts are encoded; for caches."""

    @property
    def device(self) -> torch.device:
        """Where the networks lie; tensors from anywhere are accepted."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in."""
        ...

    def encode_prompts(self, texts: Sequence[str], options: EncodeOptions) -> list[Conditioning]:
        """Encode texts that belong together (one prompt's schedule): one Conditioning (B=1) each.

        The texts may hold emphasis and BREAK; AND, schedules and network tags are gone by now.
        All results have the same length L, that of the longest text.
        """
        ...

    def embeddings_in(self, texts: Sequence[str], options: EncodeOptions) -> list[str]:
        """Names of the textual inversion embeddings that the texts use, in order, each once."""
        ...

    def predict(self, x: torch.Tensor, t: torch.Tensor, cond: Conditioning) -> torch.Tensor:
        """The network's raw answer (noise or v) to x (B, C, h, w) float32 at t (B,) float32.

        `t` is the training timestep 0..999 and need not be whole; the answer is float32.
        """
        ...

    def encode_image(
        self, image: torch.Tensor, generators: Sequence[torch.Generator] = ()
    ) -> torch.Tensor:
        """Latent (B, C, h, w) float32, scaled, of image (B, 3, H, W) float32 in [-1, 1].

        `generators` sample the VAE's posterior, one per latent; a single image gives as many
        latents as there are generators. Without any, its mode is taken.
        """
        ...

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Picture (B, 3, H, W) float32 in [0, 1] of latent (B, C, h, w), scaled.

        Raises ModelError where the VAE answers NaN.
        """
        ...

    def tiled(self) -> AbstractContextManager[None]:
        """Inside, pictures can be laid side by side: what leaves at one edge enters opposite."""
        ...

    def merging_tokens(self, ratio: float) -> AbstractContextManager[None]:
        """Inside, `predict` attends to fewer tokens: this share (0..1) of them is merged."""
        ...

    def tiling_attention(self, options: TileOptions) -> AbstractContextManager[None]:
        """Inside, the network's self-attention sees one tile of the picture at a time."""
        ...

    def tiling_vae_attention(self, options: TileOptions) -> AbstractContextManager[None]:
        """The same for the autoencoder."""
        ...

    def coding_with(
        self,
        encode: Callable[[torch.Tensor], torch.Tensor] | None = None,
        decode: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> AbstractContextManager[None]:
        """Inside, these stand in for the VAE; None: the VAE itself.

        encode: images (B, 3, H, W) in [-1, 1] to latents, scaled; decode: those to (B, 3, H, W)
        in [0, 1].
        """
        ...

    def preview_rgb(self, latent: torch.Tensor) -> torch.Tensor:
        """Rough picture (B, 3, h, w) float32 in [0, 1] of a latent, without the VAE."""
        ...
