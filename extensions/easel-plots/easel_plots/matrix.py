"""A prompt matrix: every combination of the optional parts of a prompt, as one grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image

from easel_plots.order import LARGEST_MARGIN, MEGA, picture_pixels
from easel_plots.plot import has_two_passes, look_of
from modules.core.errors import BadInput
from modules.extensions import Processed, process_images
from modules.images.annotate import Caption, Legend, Title, titled_grid

MOST_PARTS = 12
"""Optional ones: 4,096 pictures."""
PROMPTS = {"positive": "prompt", "negative": "negative_prompt"}
DELIMITERS = {"comma": ", ", "space": " "}


def split_prompt(prompt: str) -> tuple[str, list[str]]:
    """The part that is always there, and the optional ones.

    >>> split_prompt("a fox, | in the snow|at night")
    ('a fox', ['in the snow', 'at night'])
    """
    first, *others = (part.strip(" \t\r\n,") for part in prompt.split("|"))
    return first, others


def combinations(first: str, parts: Sequence[str], joint: str, *, at_start: bool) -> list[str]:
    """Every combination; the first optional part comes and goes fastest.

    >>> combinations("a", ["b", "c"], ", ", at_start=False)
    ['a', 'a, b', 'a, c', 'a, b, c']
    >>> combinations("a", ["b"], " ", at_start=True)
    ['a', 'b a']
    """
    prompts = []
    for number in range(2 ** len(parts)):
        chosen = [part for bit, part in enumerate(parts) if number >> bit & 1]
        prompts.append(joint.join([*chosen, first] if at_start else [first, *chosen]))
    return prompts


def split_legend(parts: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The parts that change along a row, and those that change along a column."""
    border = math.ceil(len(parts) / 2)
    return parts[:border], parts[border:]


def legend_of(parts: Sequence[str]) -> Legend:
    """Titles for the grid of all combinations; a part that is left out is struck through."""
    across, down = split_legend(parts)
    return Legend(tuple(_titles(across)), tuple(_titles(down)))


def _titles(parts: Sequence[str]) -> list[Title]:
    return [
        tuple(Caption(part, bool(number >> bit & 1)) for bit, part in enumerate(parts))
        for number in range(2 ** len(parts))
    ]


def run_matrix(
    p: Any, at_start: Any, differs: Any, kind: Any, delimiter: Any, margin: Any
) -> Processed:
    """Make the pictures and their grid.

    differs: whether each picture has a seed of its own. Raises BadInput.
    """
    name = _choice("Select prompt", kind, PROMPTS)
    joint = _choice("Select joining char", delimiter, DELIMITERS)
    if not isinstance(margin, int | float) or not 0 <= margin <= LARGEST_MARGIN:
        raise BadInput("Grid margins (px)", margin, f"0 to {LARGEST_MARGIN} are allowed")
    look_of(p)  # a bad colour is told before any picture is made
    first, parts = split_prompt(getattr(p, name))
    if len(parts) > MOST_PARTS:
        raise BadInput(name, f"{len(parts)} parts", f"at most {MOST_PARTS} can be combined")
    prompts = combinations(first, parts, joint, at_start=bool(at_start))
    _check_size(p, name, len(prompts))
    p.fill_seeds(1)
    step = 1 if differs else 0
    p.seed = [p.seed + number * step for number in range(len(prompts))]
    setattr(p, name, prompts)
    p.n_iter = math.ceil(len(prompts) / p.batch_size)
    p.do_not_save_grid = True
    p.job.expect(p.n_iter * (2 if has_two_passes(p) else 1))
    made = process_images(p)
    if not made.images:
        return made
    return _with_grid(p, made, parts, int(margin))


def _choice(field: str, given: Any, known: dict[str, str]) -> str:
    if given not in known:
        raise BadInput(field, given, f"allowed: {', '.join(known)}")
    return known[given]


def _check_size(p: Any, name: str, count: int) -> None:
    limit, size = p.job.settings["img_max_size_mp"], count * picture_pixels(p) / MEGA
    if size > limit:
        allowed = f"the grid of {count} pictures may have at most {limit} MP (img_max_size_mp)"
        raise BadInput(name, f"{size:.0f} MP", allowed)


def _with_grid(p: Any, made: Processed, parts: Sequence[str], margin: int) -> Processed:
    """The grid, saved, before the pictures; what was not made is blank."""
    look, count = look_of(p), 2 ** len(parts)
    begin = made.index_of_first_image
    pictures = made.images[begin : begin + count]
    blank = Image.new("RGB", pictures[0].size, look.background)
    pictures += [blank] * (count - len(pictures))
    across, _ = split_legend(parts)
    grid = titled_grid(
        pictures, 2 ** len(across), legend=legend_of(parts), margin=margin, look=look
    )
    text = made.infotexts[begin] if made.infotexts[begin:] else made.info
    made.images.insert(0, grid)
    made.infotexts.insert(0, text)
    made.paths.insert(0, p.job.save_grid(p, grid, text))
    made.index_of_first_image += 1
    return made
