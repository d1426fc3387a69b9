"""From a batch's prompts to what the network is conditioned on at every step.

Order of A1111 1.10: comments, network tags (cut out by the batch stage), AND, schedules; then
the pipeline takes emphasis, tokens and chunks. What is encoded is remembered, so that an
unchanged prompt costs nothing on the next job.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from modules.core.settings import SettingsView
from modules.params.generation import GenerationParams
from modules.pipelines.base import EncodeOptions, Pipeline
from modules.prompt import parse_schedule, split_and
from modules.sampling.conditioning import Conditioning, ImagePrompt, ScheduledCond

CACHE_SIZE = 64
"""Encoded prompts kept; one SD1.5 chunk is 0.2 MB."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What prompt schedules count: steps of this pass, and of the first one before it."""

    steps: int
    hires_steps: int | None = None
    use_old_scheduling: bool = False


class PromptCache:
    """Encoded prompts of each loaded model, newest kept; they go when their model goes."""

    def __init__(self) -> None:
        self._of_model: WeakKeyDictionary[Pipeline, OrderedDict[Any, list[Conditioning]]]
        self._of_model = WeakKeyDictionary()

    def encode(
        self, pipeline: Pipeline, texts: Sequence[str], options: EncodeOptions
    ) -> list[Conditioning]:
        """`pipeline.encode_prompts`, or what it said the last time."""
        entries = self._of_model.setdefault(pipeline, OrderedDict())
        key = (tuple(texts), options, pipeline.text_key)
        if key not in entries:
            entries[key] = pipeline.encode_prompts(texts, options)
            while len(entries) > CACHE_SIZE:
                entries.popitem(last=False)
        entries.move_to_end(key)
        return entries[key]


@dataclass(frozen=True, slots=True)
class Encoder:
    """Prompts of one job on one model."""

    pipeline: Pipeline
    cache: PromptCache
    options: EncodeOptions
    negative_options: EncodeOptions
    embeddings: dict[str, None] = field(default_factory=dict)
    """Names of the embeddings in what was encoded, in order."""

    def prompt(self, text: str, timeline: Timeline) -> ImagePrompt:
        """The AND parts of a prompt, each with its schedule."""
        return tuple(
            (part.weight, self._schedule(part.text, timeline, self.options))
            for part in split_and(text)
        )

    def negative(self, text: str, timeline: Timeline) -> ScheduledCond:
        """A negative prompt's schedule; AND is plain text there."""
        return self._schedule(text, timeline, self.negative_options)

    def empty(self) -> Conditioning:
        """The empty prompt, for padding."""
        return self.cache.encode(self.pipeline, [""], self.options)[0]

    def _schedule(self, text: str, timeline: Timeline, options: EncodeOptions) -> ScheduledCond:
        parts = parse_schedule(
            text, timeline.steps, timeline.hires_steps, timeline.use_old_scheduling
        )
        texts = [part.text for part in parts]
        conds = self.cache.encode(self.pipeline, texts, options)
        self.embeddings.update(dict.fromkeys(self.pipeline.embeddings_in(texts, options)))
        return tuple((part.end_step, cond) for part, cond in zip(parts, conds))


def encode_options(
    params: GenerationParams, settings: SettingsView, size: tuple[int, int], *, is_negative: bool
) -> EncodeOptions:
    """The encoding options of a job; `size` is (width, height) of the pass in pixels."""
    return EncodeOptions(
        clip_skip=settings["CLIP_stop_at_last_layers"],
        emphasis=settings["emphasis"],
        comma_padding_backtrack=settings["comma_padding_backtrack"],
        sdxl_clip_l_skip=settings["sdxl_clip_l_skip"],
        width=size[0],
        height=size[1],
        crop_top=settings["sdxl_crop_top"],
        crop_left=settings["sdxl_crop_left"],
        aesthetic_score=settings[
            "sdxl_refiner_low_aesthetic_score"
            if is_negative
            else "sdxl_refiner_high_aesthetic_score"
        ],
        is_negative=is_negative,
    )
