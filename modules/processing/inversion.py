"""From a picture back to the noise that sampling makes it of: Euler steps up the noise levels.

The probability flow ODE (Karras et al. 2022, eq. 1) walked in the other direction, as in DDIM
inversion (Song et al. 2020, section 4.3), but in sigmas and with guidance.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from modules.core.errors import EaselError
from modules.processing.conditioning import Timeline
from modules.processing.image_cond import ImageInput, image_input
from modules.processing.networks import cut_tags
from modules.processing.passes import encode_batch, preview, sampled_model
from modules.processing.report import Stop
from modules.processing.stage import Batch, Stage
from modules.sampling.denoiser import EpsilonDenoiser, NoiseSchedule, VelocityDenoiser
from modules.sampling.guidance import Guidance, GuidanceSettings, GuidedModel
from modules.sampling.run import SampledModel
from modules.sampling.walk import Model, slope

OnStep = Callable[[int, Tensor], bool]
"""(steps done, denoised (B, C, h, w)) → whether to stop."""


@dataclass(frozen=True, slots=True)
class Inversion:
    """How a batch's pictures become its start noise: a `p.start_noise`."""

    prompt: str
    """What the pictures show; the better it fits, the more of them comes back."""
    negative_prompt: str
    steps: int
    cfg_scale: float
    randomness: float
    """Share of the seeds' noise, 0 to 1."""
    is_adjusted: bool
    """Ask the network at the level that a latent has, not at the next; see `invert`."""

    def __call__(self, stage: Stage, batch: Batch, latent: Tensor, noise: Tensor) -> Tensor | None:
        """Noise (B, C, h, w); latent + noise · sigma_max is what sampling gives the pictures from.

        Raises EaselError for models that take a picture beside the latent.
        """
        if image_input(stage.pipeline) is not ImageInput.NONE:
            raise EaselError("Pictures cannot be turned into noise with this kind of model.")
        sampled = sampled_model(stage, batch)
        schedule = NoiseSchedule(sampled.alphas_cumprod.float())
        sigmas = schedule.uniform_sigmas(self.steps).flip(0)
        stage.report.begin_pass("Picture to noise", self.steps)

        def on_step(step: int, denoised: Tensor) -> bool:
            stage.report.step(step, lambda: preview(stage, denoised))
            return stage.report.stop in (Stop.NOW, Stop.SKIP)

        model = self._guided(stage, batch, sampled, schedule)
        found = invert(model, latent.float(), sigmas, is_adjusted=self.is_adjusted, on_step=on_step)
        if found is None:
            return None
        found = found / sigmas[-1] if self.is_adjusted else with_unit_spread(found)
        return mixed(found, noise, self.randomness) - latent / sigmas[-1]

    def _guided(
        self, stage: Stage, batch: Batch, sampled: SampledModel, schedule: NoiseSchedule
    ) -> Guidance:
        (prompt, negative), _ = cut_tags([self.prompt, self.negative_prompt])
        count = len(batch.seeds)
        asked = dataclasses.replace(
            batch, prompts=(prompt,) * count, negative_prompts=(negative,) * count
        )
        prompts = encode_batch(stage, asked, batch.size, Timeline(self.steps))
        kind = VelocityDenoiser if sampled.prediction == "v" else EpsilonDenoiser
        denoiser = kind(sampled.network, schedule)
        model = GuidedModel(denoiser, prompts.positive, prompts.negative, prompts.empty)
        at_once = batch.settings["batch_cond_uncond"]
        return Guidance(
            model, GuidanceSettings(self.cfg_scale, self.steps, batch_cond_uncond=at_once)
        )


@torch.no_grad()
def invert(
    model: Model,
    latent: Tensor,
    sigmas: Tensor,
    *,
    is_adjusted: bool,
    on_step: OnStep = lambda step, denoised: False,
) -> Tensor | None:
    """The latent (B, C, h, w) at the last of `sigmas` (n + 1,), ascending from 0; None if stopped.

    The step from a to b asks the network at b; is_adjusted: at a, where there is noise at all.
    """
    x = latent
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        level = sigma if is_adjusted and sigma > 0 else sigma_next
        denoised = model(x, level)
        if on_step(step + 1, denoised):
            return None
        x = x + slope(x, level, denoised) * (sigma_next - sigma)
    return x


def with_unit_spread(noise: Tensor) -> Tensor:
    """Each image of (B, C, h, w) scaled to a standard deviation of 1."""
    return noise / noise.std(dim=(1, 2, 3), keepdim=True)


def mixed(found: Tensor, fresh: Tensor, share: float) -> Tensor:
    """`found` with `share` of `fresh`; the sum of two independent noises keeps its variance."""
    return ((1 - share) * found + share * fresh) / math.hypot(share, 1 - share)
