"""What a script of this extension begins with: its own `p`, and the picture to start from."""

from __future__ import annotations

import copy
from typing import Any

from PIL import Image

from modules.images import flatten
from modules.processing.p import Processing


def own_p(p: Processing, **noted: Any) -> Any:
    """A copy of `p` for a script's inner jobs, which write no files; `noted` go into infotexts.

    Its seed is known, its batches hold one picture.
    """
    own = copy.copy(p)
    seed = p.seed[0] if isinstance(p.seed, list) else p.seed
    own.seed = p.fixed_seed(seed)
    own.batch_size = own.n_iter = 1
    own.do_not_save_samples = own.do_not_save_grid = True
    own.extra_generation_params = p.extra_generation_params | noted
    return own


def start_picture(p: Any) -> Image.Image:
    """The picture to start from, RGB; of several the first, and the user is told."""
    picture = first_picture(p)
    return flatten(picture, p.job.settings["img2img_background_color"])


def first_picture(p: Any) -> Image.Image:
    """The picture to start from in its own mode; of several the first, and the user is told."""
    pictures = p.sources().images
    if len(pictures) > 1:
        p.job.warn(f"Of {len(pictures)} pictures to start from, this script takes the first.")
    return pictures[0]
