"""Many small img2img jobs that make one picture, and that picture as a result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from modules.extensions import Processed, process_images
from modules.images import ResizeMode, resize_image
from modules.processing.p import next_seed

CELL = 8
"""A job's sides are multiples of this (px); other parts are stretched and brought back."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a picture that a job paints anew, RGB."""

    image: Image.Image
    mask: Image.Image | None = None
    """L: white is painted anew."""
    latent_mask: Image.Image | None = None


@dataclass(slots=True)
class Painted:
    """What became of some parts."""

    images: list[Image.Image]
    """One for each part; as it was, where the job was stopped before."""
    infotext: str = ""
    """Of the first job; empty where there was none."""
    is_whole: bool = True
    """Whether no part was left as it was because the job was stopped."""


@dataclass(slots=True)
class Results:
    """Finished pictures as they come, saved like samples."""

    own: Any
    """The inner jobs' p."""
    images: list[Image.Image] = field(default_factory=list)
    infotexts: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    paths: list[Path | None] = field(default_factory=list)

    def add(self, image: Image.Image, infotext: str, seed: int, *, is_whole: bool) -> None:
        """Keep a picture, and save it: one that is not whole only if the settings say so."""
        own = self.own
        own.all_seeds = [seed]
        saves = is_whole or own.job.settings["save_incomplete_images"]
        self.paths.append(own.job.save_image(own, image, infotext) if saves else None)
        self.images.append(image)
        self.infotexts.append(infotext)
        self.seeds.append(seed)

    def processed(self) -> Processed:
        """All of them, as a script gives them back."""
        count = len(self.images)
        own = self.own
        made = Processed(
            own,
            self.images,
            info=self.infotexts[0] if count else "",
            all_prompts=own.all_prompts[:1] * count,
            all_negative_prompts=own.all_negative_prompts[:1] * count,
            all_seeds=self.seeds,
            all_subseeds=own.all_subseeds[:1] * count,
            infotexts=self.infotexts,
        )
        made.paths = list(self.paths)
        return made


def batches(parts: int, batch_size: int) -> int:
    """How many jobs `paint` makes of so many parts."""
    return math.ceil(parts / batch_size)


def paint(own: Any, parts: Sequence[Part], batch_size: int = 1) -> Painted:
    """Paint the parts, a batch at a time; each batch has the next seed (A1111 1.10 behaviour).

    Parts are of one size. Those of one batch have one mask, that of the first. A skipped batch
    stays as it was.
    """
    own.resize_mode = ResizeMode.STRETCH
    painted = Painted([part.image for part in parts])
    for begin in range(0, len(parts), batch_size):
        if own.job.is_stopped:
            painted.is_whole = False
            break
        batch = parts[begin : begin + batch_size]
        own.init_images, own.batch_size = [part.image for part in batch], len(batch)
        own.image_mask, own.latent_mask = batch[0].mask, batch[0].latent_mask
        size = batch[0].image.size
        own.width, own.height = (max(side // CELL, 1) * CELL for side in size)
        made = process_images(own)
        first = made.index_of_first_image
        images = made.images[first : first + len(batch)]
        painted.images[begin : begin + len(images)] = [resize_image(one, *size) for one in images]
        if images and not painted.infotext:
            painted.infotext = made.infotext(own, 0)
        own.seed = next_seed(own.seed)
    return painted
