"""Stable Diffusion 1.x and 2.x: one text encoder, a UNet, an autoencoder."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from modules.core.errors import ModelError
from modules.pipelines.base import EncodeOptions
from modules.pipelines.embeddings import EmbeddingSource
from modules.pipelines.preview import apply_preview, fit_preview
from modules.pipelines.spec import PreviewFactors, Spec
from modules.pipelines.text_encoder import TextEncoder, weigh
from modules.pipelines.tiled_attention import TileOptions, tiled_attention
from modules.pipelines.tiling import circular_convolutions
from modules.pipelines.token_merging import merging_tokens
from modules.sampling.conditioning import Conditioning

log = logging.getLogger(__name__)

Code = Callable[[torch.Tensor], torch.Tensor]
"""Images to latents, or back; see `base.Pipeline.coding_with`."""


class Wardrobe(Protocol):
    """What adapters keep on a model."""

    @property
    def spare_bytes(self) -> int:
        """Memory of its tensors that the model does not use at the moment."""
        ...


@dataclass(frozen=True, slots=True)
class Networks:
    """The parts of a loaded model, all on one device and in evaluation mode."""

    path: Path
    """The file or folder they came from; messages name it."""
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    encoders: tuple[TextEncoder, ...]
    alphas_cumprod: torch.Tensor


class StableDiffusion:
    """Pipeline of SD1 and SD2 (see `base.Pipeline`); SDXL adds its vector to it."""

    def __init__(self, spec: Spec, networks: Networks) -> None:
        self.spec = spec
        self.networks = networks
        self.alphas_cumprod = networks.alphas_cumprod
        self._preview: PreviewFactors | None = spec.preview
        self.vae_fallbacks: tuple[torch.dtype, ...] = (torch.float32,)
        """What the VAE tries next where it overflows, in order."""
        self.embeddings: EmbeddingSource | None = None
        """Textual inversion embeddings that prompts may name."""
        self.text_key: Hashable = ()
        """What beside text and options decides how prompts are encoded; for caches."""
        self._encode_with: Code | None = None
        self._decode_with: Code | None = None
        self.wardrobe: Wardrobe | None = None
        """What `model_manager.adapters` keeps for this model; gone when the model moves."""
        self.origin: object = None
        """Where `model_manager.origin` can read the weights again; None: nowhere."""
        self.is_spoilt = False
        """Whether its weights are no longer those of its file: load it again."""

    @property
    def device(self) -> torch.device:
        """Where the networks lie."""
        return cast(torch.device, self.networks.unet.device)

    @property
    def dtype(self) -> torch.dtype:
        """What the UNet computes in."""
        return cast(torch.dtype, self.networks.unet.dtype)

    @property
    def size_bytes(self) -> int:
        """Memory that the weights take, with those that adapters changed."""
        parts = self.networks
        modules = (parts.unet, parts.vae, *parts.encoders)
        own = sum(weight.nbytes for module in modules for weight in module.parameters())
        return int(own) + self.spare_bytes

    @property
    def spare_bytes(self) -> int:
        """Memory of weights that are kept beside those in use; `shed` gives it back."""
        return self.wardrobe.spare_bytes if self.wardrobe else 0

    def shed(self) -> None:
        """Forget the weights that adapters changed. Only where no adapter is worn."""
        self.wardrobe = None

    @property
    def text_widths(self) -> tuple[int, ...]:
        """Features of each text encoder."""
        return tuple(encoder.width for encoder in self.networks.encoders)

    def move(self, device: torch.device | str) -> None:
        """Take all networks to another device."""
        self.wardrobe = None
        parts = self.networks
        for module in (parts.unet, parts.vae, *parts.encoders):
            module.to(device)

    def use_vae(self, vae: AutoencoderKL) -> None:
        """Replace the autoencoder; the one before is forgotten."""
        self.networks = replace(self.networks, vae=vae)
        self._preview = self.spec.preview

    def encode_prompts(self, texts: Sequence[str], options: EncodeOptions) -> list[Conditioning]:
        """See `base.Pipeline`."""
        states, pooled = self._encode(texts, options)
        vectors = self._vectors(texts, pooled, options)
        return [
            Conditioning(
                crossattn=states[index : index + 1],
                vector=None if vectors is None else vectors[index : index + 1],
                concat=None,
            )
            for index in range(len(texts))
        ]

    @torch.no_grad()
    def predict(self, x: torch.Tensor, t: torch.Tensor, cond: Conditioning) -> torch.Tensor:
        """See `base.Pipeline`."""
        device, dtype = self.device, self.dtype
        if self.spec.in_channels != x.shape[1]:
            x = torch.cat((x, self._beside(cond).to(x)), dim=1)
        (answer,) = self.networks.unet(
            x.to(device, dtype),
            t.to(device),
            cond.crossattn.to(device, dtype),
            class_labels=None if cond.vector is None else cond.vector.to(device, dtype),
            return_dict=False,
        )
        return cast(torch.Tensor, answer.float())

    @torch.no_grad()
    def encode_image(
        self, image: torch.Tensor, generators: Sequence[torch.Generator] = ()
    ) -> torch.Tensor:
        """See `base.Pipeline`."""
        if self._encode_with is not None:
            latent = self._encode_with(image)
            return latent.repeat(max(1, len(generators) // len(latent)), 1, 1, 1)
        mean, deviation = self._finite(lambda vae: _encode(vae, image))
        latent = _sampled(mean, deviation, generators) if generators else mean
        return latent * self.spec.scale_factor

    @torch.no_grad()
    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """See `base.Pipeline`."""
        if not torch.isfinite(latent).all():
            raise ModelError(
                self.networks.path,
                f"the network answered with values that are not numbers, computing in "
                f"{self.dtype}; try --no-half, or another model.",
            )
        if self._decode_with is not None:
            return self._decode_with(latent)
        image = self._finite(lambda vae: _decode(vae, latent / self.spec.scale_factor))
        return image.add(1).div(2).clamp(0, 1)

    @contextmanager
    def coding_with(self, encode: Code | None = None, decode: Code | None = None) -> Iterator[None]:
        """See `base.Pipeline`."""
        before = self._encode_with, self._decode_with
        self._encode_with, self._decode_with = encode, decode
        try:
            yield
        finally:
            self._encode_with, self._decode_with = before

    def tiled(self) -> AbstractContextManager[None]:
        """See `base.Pipeline`."""
        return circular_convolutions(self.networks.unet, self.networks.vae)

    def merging_tokens(self, ratio: float) -> AbstractContextManager[None]:
        """See `base.Pipeline`."""
        return merging_tokens(self.networks.unet, ratio)

    def tiling_attention(self, options: TileOptions) -> AbstractContextManager[None]:
        """See `base.Pipeline`."""
        return tiled_attention(options, self.networks.unet)

    def tiling_vae_attention(self, options: TileOptions) -> AbstractContextManager[None]:
        """See `base.Pipeline`."""
        vae = self.networks.vae
        return tiled_attention(options, vae.encoder, vae.decoder)

    @torch.no_grad()
    def preview_rgb(self, latent: torch.Tensor) -> torch.Tensor:
        """See `base.Pipeline`."""
        if self._preview is None:
            with self.coding_with():
                self._preview = fit_preview(self.decode, self.spec.latent_channels, self.device)
        return apply_preview(self._preview, latent)

    def embeddings_in(self, texts: Sequence[str], options: EncodeOptions) -> list[str]:
        """Names of the embeddings that the texts use, in order, each once."""
        if self.embeddings is None:
            return []
        chunker = self.networks.encoders[0].chunker
        lookup = self.embeddings.lookup(chunker.tokenize)
        chunks = [chunk for text in texts for chunk in chunker.chunks(text, options, lookup)]
        return list(dict.fromkeys(fix.name for chunk in chunks for fix in chunk.fixes))

    def _beside(self, cond: Conditioning) -> torch.Tensor:
        """The channels that the network takes beside the latent. Raises ModelError."""
        if cond.concat is None:
            raise ModelError(
                self.networks.path,
                "takes a picture beside the noise, so it cannot take over from a model without.",
            )
        return cond.concat

    def _encode(
        self, texts: Sequence[str], options: EncodeOptions
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """States (B, L, D) of all encoders side by side; the first chunk's pooled state."""
        columns: list[torch.Tensor] = []
        first_pooled: torch.Tensor | None = None
        source = self.embeddings
        for index, encoder in enumerate(self.networks.encoders):
            skip = _skip(encoder, options)
            lookup = source.lookup(encoder.chunker.tokenize) if source else None
            vectors = functools.partial(source.vectors, encoder=index) if source else None
            chunks: list[torch.Tensor] = []
            for number, batch in enumerate(encoder.chunker.batches(texts, options, lookup)):
                placed = [(row, fix) for row, fixes in enumerate(batch.fixes) for fix in fixes]
                states, pooled = encoder.encode(batch.tokens, skip, placed, vectors)
                chunks.append(weigh(states, batch.weights, options.emphasis))
                if number == 0 and pooled is not None:
                    first_pooled = pooled
            columns.append(torch.cat(chunks, dim=1))
        return torch.cat(columns, dim=-1), first_pooled

    def _vectors(
        self, texts: Sequence[str], pooled: torch.Tensor | None, options: EncodeOptions
    ) -> torch.Tensor | None:
        """Vector conditioning (B, V); None for families without one."""
        return None

    def _finite(self, use: Callable[[AutoencoderKL], torch.Tensor]) -> torch.Tensor:
        """What `use` makes with the VAE; once more in a wider format where it overflowed."""
        vae = self.networks.vae
        result = use(vae)
        for dtype in self.vae_fallbacks:
            if torch.isfinite(result).all() or vae.dtype == torch.float32:
                break
            formats = [str(each).removeprefix("torch.") for each in (vae.dtype, dtype)]
            log.warning("The VAE overflowed in %s; it computes in %s from now on.", *formats)
            torch.nn.Module.to(vae, dtype)  # diffusers' own says something that is not so
            result = use(vae)
        if not torch.isfinite(result).all():
            raise ModelError(
                self.networks.path, "its VAE answers with values that are not numbers; try another."
            )
        return result


def _skip(encoder: TextEncoder, options: EncodeOptions) -> int:
    fixed = encoder.row.fixed_skip
    is_free = fixed is None or (options.sdxl_clip_l_skip and encoder.row.layout == "clip")
    return options.clip_skip if is_free or fixed is None else fixed


def _encode(vae: AutoencoderKL, image: torch.Tensor) -> torch.Tensor:
    """(2, B, C, h, w): mean and standard deviation of the posterior."""
    posterior = vae.encode(image.to(vae.device, vae.dtype)).latent_dist
    return torch.stack((posterior.mode().float(), posterior.std.float()))


def _sampled(
    mean: torch.Tensor, deviation: torch.Tensor, generators: Sequence[torch.Generator]
) -> torch.Tensor:
    shape = mean.shape[1:]
    noise = torch.stack([torch.randn(shape, generator=g, device=g.device) for g in generators])
    return mean + deviation * noise.to(mean)


def _decode(vae: AutoencoderKL, latent: torch.Tensor) -> torch.Tensor:
    (image,) = vae.decode(latent.to(vae.device, vae.dtype), return_dict=False)
    return cast(torch.Tensor, image.float())
