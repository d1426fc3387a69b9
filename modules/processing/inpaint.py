"""Inpainting in the latent: what may change, what is put back at each step and at the end.

A1111 1.10 behaviour, but for DDIM, PLMS and UniPC: what is put back has the noise of the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from modules.params.img2img import Img2ImgParams
from modules.params.soft_inpaint import SoftInpaint
from modules.processing import soft_inpaint
from modules.processing.canvas import LATENT_NOISE, LATENT_NOTHING, Canvas
from modules.processing.stage import Stage
from modules.sampling.guidance import Blend
from modules.sampling.table import find_sampler


@dataclass(slots=True)
class MaskBlendArgs:
    """What on_mask_blend sees at each step and at the end; it may replace `blended_latent`."""

    current_latent: Tensor
    nmask: Tensor
    """(B, 1, h, w), 1 where the latent may change."""
    init_latent: Tensor
    mask: Tensor
    """(B, 1, h, w), 1 where it is kept."""
    blended_latent: Tensor
    denoiser: Any = None
    sigma: Tensor | None = None

    @property
    def is_final_blend(self) -> bool:
        """Whether sampling is over."""
        return self.denoiser is None


@dataclass(frozen=True, slots=True)
class Inpainting:
    """The masked latent of a batch."""

    init: Tensor
    """(B, C, h, w) as encoded, filled as asked."""
    paint: Tensor
    """(B, 1, h, w) in 0..1: what may change."""
    noise: Tensor
    """(B, C, h, w) that the run starts with."""
    soft: SoftInpaint | None = None

    def blender(self, stage: Stage, sampler: str) -> Blend:
        """Puts the kept part back at each step of a run."""
        is_noisy = find_sampler(sampler).levels == "timesteps"
        alphas = stage.pipeline.alphas_cumprod

        def blend(x: Tensor, level: Tensor, guidance: Any) -> Tensor:
            kept, sigma = self.init, level
            if is_noisy:
                alpha = alphas[level[0].long().cpu()].to(x.device)
                kept = kept * alpha.sqrt() + self.noise.to(x) * (1 - alpha).sqrt()
                sigma = ((1 - alpha) / alpha).sqrt().expand_as(level)
            blended = self._mixed(kept.to(x), x, float(sigma[0]))
            return self._told(stage, x, kept, blended, guidance, sigma)

        return blend

    def finished(self, stage: Stage, latent: Tensor) -> Tensor:
        """The sampled latent with the kept part put back for good."""
        init = self.init.to(latent)
        paint = self.paint.to(latent)
        blended = latent if self.soft else latent * paint + init * (1 - paint)
        return self._told(stage, latent, init, blended, None, None)

    def _mixed(self, kept: Tensor, x: Tensor, sigma: float) -> Tensor:
        paint = self.paint.to(x)
        if self.soft is None:
            return x * paint + kept * (1 - paint)
        return soft_inpaint.mix(
            self.soft, kept, x, soft_inpaint.paint_share(self.soft, paint, sigma)
        )

    def _told(
        self, stage: Stage, x: Tensor, kept: Tensor, blended: Tensor, guidance: Any, sigma: Any
    ) -> Tensor:
        if not stage.hooks.used("on_mask_blend"):
            return blended
        args = MaskBlendArgs(x, self.paint, kept, 1 - self.paint, blended, guidance, sigma)
        stage.call("on_mask_blend", stage.p, args)
        return args.blended_latent


def latent_masks(params: Img2ImgParams, canvases: Sequence[Canvas], like: Tensor) -> Tensor | None:
    """(B, 1, h, w) in 0..1 on the device of `like` (B, C, h, w); None without any mask."""
    if not any(canvas.latent_mask for canvas in canvases):
        return None
    height, width = like.shape[2:]
    shares: list[np.ndarray] = []
    for canvas in canvases:
        if canvas.latent_mask is None:  # its own mask is blank: all of it may change
            shares.append(np.ones((height, width), dtype=np.float32))
            continue
        small = canvas.latent_mask.resize((width, height), Image.Resampling.BICUBIC)
        shares.append(np.asarray(small, dtype=np.float32) / 255)
    paint = torch.from_numpy(np.stack(shares)).unsqueeze(1).to(like)
    return paint.round() if params.mask_round else paint


def refill(params: Img2ImgParams, init: Tensor, paint: Tensor, noise: Tensor) -> Tensor:
    """The encoded latent with noise or nothing in the masked part, where that was asked for."""
    if params.inpainting_fill == LATENT_NOISE:
        return init * (1 - paint) + noise.to(init) * paint
    if params.inpainting_fill == LATENT_NOTHING:
        return init * (1 - paint)
    return init
