"""A prompt matrix: every combination of the optional parts of a prompt, as one grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from PIL import Image

from easel_plots.grids import look_of, most_megapixels, picture_size, read_margin
from easel_plots.plot import has_two_passes
from easel_plots.values import read_switch
from modules.core.errors import BadInput, UnsupportedImage
from modules.extensions import Processed, process_images
from modules.images.annotate import Legend, grid_size, titled_grid
from modules.images.titles import Caption, Title
from modules.processing.p import next_seed

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


class Wishes(NamedTuple):
    """The script's arguments, checked."""

    at_start: bool
    differs: bool
    """Whether each picture has a seed of its own."""
    parameter: str
    """Whose parts are combined."""
    joint: str
    margin: int
    """Pixels."""


def read_wishes(at_start: Any, differs: Any, kind: Any, delimiter: Any, margin: Any) -> Wishes:
    """Raises BadInput."""
    return Wishes(
        at_start=read_switch("Put variable parts at start of prompt", at_start),
        differs=read_switch("Use different seed for each picture", differs),
        parameter=_choice("Select prompt", kind, PROMPTS),
        joint=_choice("Select joining char", delimiter, DELIMITERS),
        margin=read_margin(margin),
    )


def run_matrix(
    p: Any, at_start: Any, differs: Any, kind: Any, delimiter: Any, margin: Any
) -> Processed:
    """Make the pictures and their grid.

    differs: whether each picture has a seed of its own. Raises BadInput.
    """
    wishes = read_wishes(at_start, differs, kind, delimiter, margin)
    name, step = wishes.parameter, int(wishes.differs)
    first, parts = split_prompt(getattr(p, name))
    titles = getattr(p, name).split("|")[1:]  # as they were typed, A1111 1.10 behaviour
    if len(parts) > MOST_PARTS:
        raise BadInput(name, f"{len(parts)} parts", f"at most {MOST_PARTS} can be combined")
    prompts = combinations(first, parts, wishes.joint, at_start=wishes.at_start)
    _check_size(p, name, titles, wishes.margin)
    p.fill_seeds(1)
    p.seed = [next_seed(p.seed, number * step) for number in range(len(prompts))]
    setattr(p, name, prompts)
    p.n_iter = math.ceil(len(prompts) / p.batch_size)
    p.do_not_save_grid = True
    p.job.expect(p.n_iter * (2 if has_two_passes(p) else 1))
    made = process_images(p)
    if not made.images:
        return made
    return _with_grid(p, made, titles, wishes.margin)


def _choice(field: str, given: Any, known: dict[str, str]) -> str:
    if not isinstance(given, str) or given not in known:
        raise BadInput(field, given, f"allowed: {', '.join(known)}")
    return known[given]


def _check_size(p: Any, name: str, parts: Sequence[str], margin: int) -> None:
    """Raises BadInput for a grid above the setting img_max_size_mp, a bad colour or font."""
    limit, across = most_megapixels(p), split_legend(parts)[0]
    count, columns = 2 ** len(parts), 2 ** len(across)
    legend, look = legend_of(parts), look_of(p)
    try:
        grid_size(picture_size(p), count, columns, legend=legend, margin=margin, look=look,
                  most_megapixels=limit)  # fmt: skip
    except UnsupportedImage as error:
        allowed = f"the grid of {count} pictures may have at most {limit:g} MP (img_max_size_mp)"
        raise BadInput(name, error.value, allowed) from error


def _with_grid(p: Any, made: Processed, parts: Sequence[str], margin: int) -> Processed:
    """The grid, saved, before the pictures; what was not made is blank."""
    look, count = look_of(p), 2 ** len(parts)
    begin = made.index_of_first_image
    pictures = made.images[begin : begin + count]
    blank = Image.new("RGB", pictures[0].size, look.background)
    pictures += [blank] * (count - len(pictures))
    across, _ = split_legend(parts)
    try:
        grid = titled_grid(
            pictures, 2 ** len(across), legend=legend_of(parts), margin=margin, look=look,
            most_megapixels=most_megapixels(p),
        )  # fmt: skip
    except UnsupportedImage as error:  # an extension made them larger than was asked for
        p.job.warn(f"There is no grid of all pictures. {error}")
        return made
    text = made.infotexts[begin] if made.infotexts[begin:] else made.info
    made.images.insert(0, grid)
    made.infotexts.insert(0, text)
    made.paths.insert(0, p.job.save_grid(p, grid, text))
    made.index_of_first_image += 1
    return made
