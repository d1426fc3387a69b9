"""What the passes of a job share: the batch, the model at work, and who is told.

A batch may put other checkpoints to work after the job's own (refiner, hires checkpoint); behind
it the job's own is back, and every model is as it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from torch import Tensor

from modules.core.hooks import Hooks
from modules.core.settings import SettingsView
from modules.model_manager import ModelChoice, ModelManager
from modules.params.request import Params
from modules.params.soft_inpaint import SoftInpaint
from modules.pipelines.base import Pipeline
from modules.processing.canvas import Canvas
from modules.processing.conditioning import PromptCache
from modules.processing.facts import attention_tiles
from modules.processing.networks import BatchNetworks
from modules.processing.p import Processing
from modules.processing.report import Report

CELL = 8
"""Pixels per latent."""

Change = Callable[[Pipeline], AbstractContextManager[object]]
"""Changes a model for a while: entering makes the change, leaving takes it back exactly."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything that one batch is made from; `params` are frozen after its hooks."""

    params: Params
    settings: SettingsView
    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...]
    hr_prompts: tuple[str, ...]
    """Of the second pass."""
    hr_negative_prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    subseeds: tuple[int, ...]
    networks: BatchNetworks
    canvases: tuple[Canvas, ...] = ()
    """One per picture of img2img, none of txt2img."""
    soft: SoftInpaint | None = None

    @property
    def is_tiling(self) -> bool:
        """Whether the pictures can be laid side by side; the request goes before the setting."""
        asked = self.params.tiling
        return bool(self.settings["tiling"] if asked is None else asked)

    @property
    def changes(self) -> tuple[Change, ...]:
        """What networks and settings change in every model that works on the batch."""
        changes: list[Change] = [self.networks]
        if self.is_tiling:
            changes.append(lambda pipeline: pipeline.tiled())
        if tiles := attention_tiles(self.settings, "vae"):
            changes.append(lambda pipeline: pipeline.tiling_vae_attention(tiles))
        return tuple(changes)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the first pass in pixels."""
        return self.params.width, self.params.height


@dataclass(frozen=True, slots=True)
class Made:
    """What a batch became, before it is finished."""

    pictures: Tensor
    """(B, 3, H, W) float32 in [0, 1]."""
    canvases: tuple[Canvas, ...] = ()
    """Of img2img: what the pictures are put back into."""
    first_pass: tuple[Image.Image, ...] = ()
    """Of hires fix: each picture before its second pass, where the settings want it saved."""


@dataclass(slots=True)
class Stage:
    """The job around a batch: who computes, who listens, who is told."""

    pipeline: Pipeline
    """The model at work."""
    models: ModelManager
    choice: ModelChoice
    """Of the job's own model."""
    cache: PromptCache
    hooks: Hooks
    report: Report
    p: Processing
    saves: bool = True
    """Whether pictures are written to files."""
    warnings: list[str] = field(default_factory=list)
    interrupted: bool = False
    _own: Pipeline | None = None
    _at_work: ModelChoice | None = None
    _changes: tuple[Change, ...] = ()
    _loans: ExitStack = field(default_factory=ExitStack)

    def call(self, hook: str, *args: Any) -> None:
        """Call a hook and keep its warnings for the user; who writes into p is noted."""
        if not self.hooks.used(hook):
            return
        is_about_p = bool(args) and args[0] is self.p
        if is_about_p:
            self.p.watch()
        after = self.p.note_writer if is_about_p else None
        self.warnings += self.hooks.call(hook, *args, after=after)

    @contextmanager
    def working(self, *changes: Change) -> Iterator[None]:
        """Around a batch: every model that is put to work inside carries `changes`."""
        self._own, self._at_work, self._changes = self.pipeline, self.choice, changes
        with ExitStack() as self._loans:
            try:
                self._apply_changes(self.pipeline)
                yield
            finally:
                self.pipeline, self._at_work = self._own, None

    def is_at_work(self, checkpoint: str | None) -> bool:
        """Whether this checkpoint (None: the job's own) is the model at work. Raises NotFound."""
        now, asked = self._at_work or self.choice, self._choice(checkpoint)
        if asked == now:
            return True
        resolve = self.models.resolve
        return resolve(asked).checkpoint.path == resolve(now).checkpoint.path

    def put_to_work(self, checkpoint: str | None) -> None:
        """Let another checkpoint go on with this batch; None: the job's own.

        Only inside `working`. Raises NotFound, and ModelError where the file cannot be loaded.
        """
        if self.is_at_work(checkpoint):
            return
        choice = self._choice(checkpoint)
        if checkpoint is None and self._own is not None:
            self.pipeline = self._own
        else:
            self.pipeline = self._loans.enter_context(self.models.use(choice))
            self._apply_changes(self.pipeline)
        self._at_work = choice

    def _choice(self, checkpoint: str | None) -> ModelChoice:
        if checkpoint is None:
            return self.choice
        return dataclasses.replace(self.choice, checkpoint=checkpoint)

    def _apply_changes(self, pipeline: Pipeline) -> None:
        for change in self._changes:
            self._loans.enter_context(change(pipeline))
