"""Classifier-free guidance (Ho & Salimans 2022) over the images of a batch.

`Guidance` turns a denoiser that takes one conditioning into the `Model` that samplers call: it
picks each prompt's entry for the step, batches AND parts and negatives, combines the results
and calls the hooks. Which calls skip the negative is A1111 1.10 behaviour. Knows no sampler.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch
from torch import Tensor

from modules.sampling.conditioning import (
    Conditioning,
    ImagePrompt,
    ScheduledCond,
    at_step,
    concatenate,
    cut_or_pad,
    pad_with_empty,
    rows,
    stack,
)
from modules.sampling.denoiser import Denoiser

log = logging.getLogger(__name__)

Blend = Callable[[Tensor, Tensor, "Guidance"], Tensor]
"""(latent or prediction (B, C, h, w), level (B,), guidance) -> it with the kept part put back."""

Padding = Literal["none", "empty", "v0"]
"""How a prompt and a negative of different lengths are brought to one: A1111's settings."""

Effect = Literal["skip_early_cond", "s_min_uncond", "pad_cond_uncond", "pad_cond_uncond_v0"]
"""A setting that did something in a run, by its key; most do so under conditions only."""


@dataclass(frozen=True, slots=True)
class GuidedModel:
    """A network with the prompts encoded for it; one prompt and one negative per image.

    empty: (1, 77, D), the empty prompt for pad="empty".
    """

    denoiser: Denoiser
    prompts: Sequence[ImagePrompt]
    negatives: Sequence[ScheduledCond]
    empty: Tensor | None = None


@dataclass(slots=True)
class BeforeDenoise:
    """What the cfg_denoiser hook sees and may change, before the network runs.

    x, level, cond and uncond rows: first every AND part of every image, then one uncond each.
    """

    x: Tensor
    level: Tensor
    cond: Conditioning
    uncond: Conditioning
    step: int
    total_steps: int


@dataclass(slots=True)
class AfterDenoise:
    """What cfg_denoised (rows as above) and cfg_after_cfg (one row per image) may change."""

    x: Tensor
    step: int
    total_steps: int


Event = TypeVar("Event", BeforeDenoise, AfterDenoise)


@dataclass(frozen=True, slots=True)
class GuidanceHooks:
    """Called in order within every network call; None where nobody listens."""

    cfg_denoiser: Callable[[BeforeDenoise], None] | None = None
    cfg_denoised: Callable[[AfterDenoise], None] | None = None
    cfg_after_cfg: Callable[[AfterDenoise], None] | None = None


@dataclass(frozen=True, slots=True)
class Refiner:
    """A second model that takes over once the finished share reaches `switch_at` (0..1)."""

    switch_at: float
    load: Callable[[], GuidedModel]
    by_steps: bool = False


@dataclass(frozen=True, slots=True)
class GuidanceSettings:
    """Numbers of one run. total_steps: network calls that prompt schedules count with.

    image_cfg_scale: instruct-pix2pix's second scale, None for other models.
    image_cond: (B, C, h, w) channels that the network gets beside the latent, or None.
    always_uncond: never skip the negative.
    blend: puts a kept part back, before the network's call or after it.
    """

    cfg_scale: float
    total_steps: int
    image_cfg_scale: float | None = None
    image_cond: Tensor | None = None
    s_min_uncond: float = 0.0
    s_min_uncond_all: bool = False
    skip_early_cond: float = 0.0
    batch_cond_uncond: bool = True
    pad: Padding = "none"
    always_uncond: bool = False
    blend: Blend | None = None
    blend_before: bool = False


class Guidance:
    """(x (B, C, h, w) float32, level 0-dim or (B,)) -> guided prediction (B, C, h, w)."""

    def __init__(
        self,
        model: GuidedModel,
        settings: GuidanceSettings,
        *,
        hooks: GuidanceHooks | None = None,
        refiner: Refiner | None = None,
        finished_share: Callable[[Tensor], float] = lambda level: 0.0,
        on_effect: Callable[[Effect], None] = lambda effect: None,
    ) -> None:
        """finished_share: 0..1 of the way done at a level; the refiner switches by it.

        on_effect is called each time a setting takes effect.
        """
        self.settings = settings
        self.step = 0
        self._last_uncond: Tensor | None = None
        self._model = model
        self._hooks = hooks or GuidanceHooks()
        self._refiner = refiner
        self._finished_share = finished_share
        self._on_effect = on_effect
        self._rows_at_once: int | None = None

    def __call__(self, x: Tensor, level: Tensor) -> Tensor:
        settings = self.settings
        level = level.to(x.device, torch.float32).expand(x.shape[0])
        self._switch_to_refiner(level)
        if settings.blend and settings.blend_before:
            x = settings.blend(x, level, self)
        counts = [len(prompt) for prompt in self._model.prompts]
        event = self._before(x, level, counts)
        predictions = self._predict(event, len(x))
        after = AfterDenoise(predictions, self.step, settings.total_steps)
        _call(self._hooks.cfg_denoised, after)
        self._last_uncond = after.x[sum(counts) : sum(counts) + len(x)]
        result = self._combine(after.x, counts)
        if settings.blend and not settings.blend_before:
            result = settings.blend(result, level, self)
        finished = AfterDenoise(result, self.step, settings.total_steps)
        _call(self._hooks.cfg_after_cfg, finished)
        self.step += 1
        return finished.x

    def uncond_of_last_call(self) -> Tensor:
        """The negative's prediction (B, C, h, w) within the last call (CFG++)."""
        if self._last_uncond is None:
            raise RuntimeError("the network has not been called yet")
        return self._last_uncond

    @property
    def is_edit(self) -> bool:
        """Whether the model is guided by text and by image apart (instruct-pix2pix)."""
        return self.settings.image_cfg_scale is not None and self.settings.image_cfg_scale != 1.0

    def _switch_to_refiner(self, level: Tensor) -> None:
        refiner = self._refiner
        if refiner is None:
            return
        share = (
            self.step / self.settings.total_steps
            if refiner.by_steps
            else (self._finished_share(level))
        )
        if share >= refiner.switch_at:
            self._model = refiner.load()
            self._refiner = None

    def _before(self, x: Tensor, level: Tensor, counts: Sequence[int]) -> BeforeDenoise:
        """The rows of this call: every AND part of every image, then the negatives."""
        parts = [part for prompt in self._model.prompts for part in prompt]
        cond = stack([at_step(schedule, self.step) for _, schedule in parts])
        uncond = stack([at_step(schedule, self.step) for schedule in self._model.negatives])
        cond, uncond = self._pad(cond, uncond)
        repeats = torch.tensor(counts, device=x.device)
        image_cond = self.settings.image_cond
        if image_cond is not None:
            cond = replace(cond, concat=image_cond.repeat_interleave(repeats, dim=0))
            uncond = replace(uncond, concat=image_cond)
        event = BeforeDenoise(
            x=torch.cat([x.repeat_interleave(repeats, dim=0), x]),
            level=torch.cat([level.repeat_interleave(repeats), level]),
            cond=cond,
            uncond=uncond,
            step=self.step,
            total_steps=self.settings.total_steps,
        )
        _call(self._hooks.cfg_denoiser, event)
        return event

    def _pad(self, cond: Conditioning, uncond: Conditioning) -> tuple[Conditioning, Conditioning]:
        """Bring both texts to one length where the settings ask for it."""
        if cond.length == uncond.length or self.settings.pad == "none":
            return cond, uncond
        if self.settings.pad == "v0":
            self._on_effect("pad_cond_uncond_v0")
            return cond, cut_or_pad(uncond, cond.length)
        empty = self._model.empty
        if empty is None:
            return cond, uncond
        self._on_effect("pad_cond_uncond")
        longest = max(cond.length, uncond.length)
        return pad_with_empty(cond, longest, empty), pad_with_empty(uncond, longest, empty)

    def _skips_uncond(self, level: Tensor) -> bool:
        """Early CFG skip, and NGMS: every other call below a noise level."""
        settings = self.settings
        if self.is_edit or settings.always_uncond:
            return False
        if (
            settings.skip_early_cond
            and self.step / settings.total_steps <= settings.skip_early_cond
        ):
            self._on_effect("skip_early_cond")
            return True
        is_turn = self.step % 2 == 1 or settings.s_min_uncond_all
        if is_turn and settings.s_min_uncond > 0 and bool(level[0] < settings.s_min_uncond):
            self._on_effect("s_min_uncond")
            return True
        return False

    def _predict(self, event: BeforeDenoise, images: int) -> Tensor:
        """Predictions of all rows; where the negative is skipped, copies stand in for it."""
        texts = len(event.cond.crossattn)
        if self._skips_uncond(event.level):
            out = self._run(event.x[:texts], event.level[:texts], event.cond, images)
            return torch.cat([out, out[self._first_rows()]])
        if self.is_edit:
            return self._predict_edit(event, images)
        if event.cond.length == event.uncond.length:
            both = concatenate([event.cond, event.uncond])
            return self._run(event.x, event.level, both, images)
        return torch.cat(
            [
                self._run(event.x[:texts], event.level[:texts], event.cond, images),
                self._run(event.x[texts:], event.level[texts:], event.uncond, images),
            ]
        )

    def _predict_edit(self, event: BeforeDenoise, images: int) -> Tensor:
        """Rows: text and image, image alone, neither (Brooks et al. 2023)."""
        texts = len(event.cond.crossattn)
        blank = event.uncond.concat
        neither = replace(event.uncond, concat=None if blank is None else torch.zeros_like(blank))
        blocks = (
            (event.x[:texts], event.level[:texts], event.cond),
            (event.x[texts:], event.level[texts:], event.uncond),
            (event.x[texts:], event.level[texts:], neither),
        )
        return torch.cat([self._run(x, level, cond, images) for x, level, cond in blocks])

    def _run(self, x: Tensor, level: Tensor, cond: Conditioning, images: int) -> Tensor:
        """The network over all rows, at most one batch (or two, cond and uncond) at a time.

        Where the device's memory does not suffice for that, half as many for the rest of the run.
        """
        limit = images * 2 if self.settings.batch_cond_uncond else images
        limit = min(limit, self._rows_at_once or limit)
        while True:
            try:
                return self._in_parts(x, level, cond, limit)
            except torch.OutOfMemoryError:
                if min(limit, len(x)) == 1:
                    raise
                limit = self._rows_at_once = (min(limit, len(x)) + 1) // 2
                log.info("Memory is short: the network computes %d rows at a time.", limit)

    def _in_parts(self, x: Tensor, level: Tensor, cond: Conditioning, limit: int) -> Tensor:
        outputs = [
            self._model.denoiser(x[part], level[part], rows(cond, part))
            for part in (slice(start, start + limit) for start in range(0, len(x), limit))
        ]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _first_rows(self) -> list[int]:
        """Row of each image's first AND part."""
        starts, row = [], 0
        for prompt in self._model.prompts:
            starts.append(row)
            row += len(prompt)
        return starts

    def _combine(self, predictions: Tensor, counts: Sequence[int]) -> Tensor:
        """uncond + sum of weight * scale * (cond - uncond) over each image's AND parts."""
        texts, images = sum(counts), len(counts)
        uncond = predictions[texts : texts + images]
        scale = self.settings.cfg_scale
        if self.is_edit:
            return self._combine_edit(predictions, texts, images)
        result = uncond.clone()
        row = 0
        for image, prompt in enumerate(self._model.prompts):
            for weight, _ in prompt:
                result[image] += (predictions[row] - uncond[image]) * (weight * scale)
                row += 1
        return result

    def _combine_edit(self, predictions: Tensor, texts: int, images: int) -> Tensor:
        """Brooks et al. 2023, eq. 3; AND parts beyond the first are not used."""
        both = predictions[self._first_rows()]
        image_only = predictions[texts : texts + images]
        neither = predictions[texts + images :]
        image_scale = self.settings.image_cfg_scale or 0.0
        return (
            neither
            + self.settings.cfg_scale * (both - image_only)
            + image_scale * (image_only - neither)
        )


def _call(hook: Callable[[Event], None] | None, event: Event) -> None:
    if hook is not None:
        hook(event)
