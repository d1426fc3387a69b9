"""What the grids of plots share: sizes known before any picture is made, colours, margins."""

from __future__ import annotations

import math
from typing import Any

from PIL import ImageColor

from modules.core.errors import BadInput
from modules.images import grid_rows
from modules.images.annotate import GridLook
from modules.images.titles import SMALLEST_FONT, load_font
from modules.processing.prepare import hires_sizes

LARGEST_MARGIN = 10_000
"""Pixels."""
COLOURS = ("grid_background_color", "grid_text_active_color", "grid_text_inactive_color")
"""Settings."""

Size = tuple[int, int]
"""(width, height) in pixels."""


def read_margin(given: Any) -> int:
    """Pixels between the cells. Raises BadInput."""
    if not isinstance(given, int | float) or not 0 <= given <= LARGEST_MARGIN:
        raise BadInput("Grid margins (px)", given, f"0 to {LARGEST_MARGIN} are allowed")
    return int(given)


def look_of(p: Any) -> GridLook:
    """Colours and font as the settings say. Raises BadInput for what is no colour, or no font."""
    settings = p.job.settings
    for key in COLOURS:
        try:
            ImageColor.getrgb(settings[key])
        except (ValueError, AttributeError):
            raise BadInput(key, settings[key], "a colour such as #999999 is expected") from None
    font = str(settings["font"] or "")
    load_font(font, SMALLEST_FONT)
    return GridLook(*(settings[key] for key in COLOURS), font=font)


def most_megapixels(p: Any) -> float:
    """What a grid may have, as the settings say."""
    return float(p.job.settings["img_max_size_mp"])


def shows_batches(p: Any) -> bool:
    """Whether a job of several pictures gives their grid first."""
    return bool(p.job.shows_grids) and not p.do_not_save_grid


def picture_size(p: Any) -> Size:
    """Of a finished picture."""
    params = p.freeze()
    if getattr(params, "enable_hr", False):
        width, height = hires_sizes(params)[1]
    else:
        width, height = params.width, params.height
    return int(width), int(height)


def cell_size(p: Any) -> Size:
    """Of what a job gives first: of several pictures their grid, where that is shown."""
    width, height = picture_size(p)
    count = p.batch_size * p.n_iter
    if count == 1 or not shows_batches(p):
        return width, height
    settings = p.job.settings
    rows = grid_rows(
        count,
        rows=settings["n_rows"],
        batch_size=p.batch_size,
        prevent_empty=settings["grid_prevent_empty_spots"],
    )
    return math.ceil(count / rows) * width, rows * height
