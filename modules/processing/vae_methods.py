"""What codes a batch's pictures: the model's VAE, or a small stand-in (TAESD) where one fits.

Settings sd_vae_encode_method, sd_vae_decode_method and show_progress_type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from modules.core.settings import SettingsView
from modules.pipelines.base import Pipeline
from modules.pipelines.sd import StableDiffusion
from modules.pipelines.tiling import circular_convolutions
from modules.processing.stage import Batch, Stage

TAESD = "TAESD"
ENCODER, DECODER = "VAE Encoder", "VAE Decoder"
"""Names in infotexts."""


@dataclass(frozen=True, slots=True)
class VaeMethods:
    """A `Change`: models at work on the batch code pictures as the settings say."""

    stage: Stage
    batch: Batch

    @contextmanager
    def __call__(self, pipeline: Pipeline) -> Iterator[None]:
        """Inside, a stand-in codes where one is wanted and fits; else a warning says so."""
        model, settings = cast(StableDiffusion, pipeline), self.batch.settings
        find, pickles = self.stage.models.tiny_vaes, settings["allow_pickles"]
        encode = decode = None
        with ExitStack() as changes:
            if settings["sd_vae_encode_method"] == TAESD:
                encode = self._noted(ENCODER, find.encoder(model, allow_pickles=pickles))
            if settings["sd_vae_decode_method"] == TAESD:
                decoder = find.decoder(model, allow_pickles=pickles)
                decode = self._noted(DECODER, decoder)
                if decoder is not None and self.batch.is_tiling:
                    changes.enter_context(circular_convolutions(decoder.network))
            if encode or decode:
                changes.enter_context(pipeline.coding_with(encode, decode))
            yield

    def _noted(
        self, name: str, code: Callable[[Tensor], Tensor] | None
    ) -> Callable[[Tensor], Tensor] | None:
        """`code`, which the infotext names once it was used."""
        if code is None:
            self.stage.warnings.append(
                f"{name} TAESD: no file in models/VAE-approx fits this model, so its VAE was used."
            )
            return None

        def noted(value: Tensor) -> Tensor:
            self.stage.p.extra_generation_params[name] = TAESD
            return code(value)

        return noted


def preview_pixels(stage: Stage, latent: Tensor, settings: SettingsView) -> Tensor:
    """A rough picture (B, 3, H, W) in [0, 1] of latents that are still being sampled.

    It has a pixel for each cell where colours are only guessed, or all of them.
    """
    kind = settings["show_progress_type"]
    model = cast(StableDiffusion, stage.pipeline)
    if kind == "Full" and torch.isfinite(latent).all():
        with model.coding_with():
            return model.decode(latent)
    if kind == TAESD:
        find = stage.models.tiny_vaes
        decoder = find.decoder(model, allow_pickles=settings["allow_pickles"])
        if decoder is not None:
            return decoder(latent)
    return model.preview_rgb(latent)
