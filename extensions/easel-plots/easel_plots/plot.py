"""An X/Y/Z plot made: every picture of it, and the grids. Knows no gradio."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageColor

from easel_plots.axes import Axis
from easel_plots.names import is_img2img
from easel_plots.order import Arguments, Line, Order, own_copy, read_order
from modules.core.errors import BadInput
from modules.extensions import Processed, process_images
from modules.images.annotate import Caption, GridLook, Legend, Title, titled_grid
from modules.params.infotext_text import quote
from modules.processing.p import fixed_seed

TITLE = "X/Y/Z plot"
Place = tuple[int, int, int]
"""Which value of X, Y and Z."""

_INFOTEXT_END = re.compile(r'(, Version: [^,\n]*)?(, User: (?:"(?:\\.|[^"\\])*"|[^,\n]*))?\Z')


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture of the plot; of a batch that has a grid, the grid."""

    image: Image.Image
    infotext: str
    path: Path | None
    prompt: str
    negative_prompt: str
    seed: int
    subseed: int


@dataclass(slots=True)
class _Made:
    """The pictures as they come."""

    cells: dict[Place, Cell] = field(default_factory=dict)
    first: Processed | None = None
    first_p: Any = None
    """The copy of `p` that made the first picture."""
    idle: dict[str, str] = field(default_factory=dict)
    """Label → why the axis changed nothing until now."""


def run_plot(p: Any, arguments: Arguments) -> Processed:
    """Make the plot. Raises BadInput before any picture is made; stopped, it has blank cells."""
    look_of(p)  # a bad colour is told before any picture is made
    order = read_order(p, arguments)
    if not order.keeps_random_seeds:
        p.seed, p.subseed = fixed_seed(p.seed), fixed_seed(p.subseed)
    if not p.job.settings["return_grid"] and not len(getattr(p, "init_images", ())) > 1:
        p.batch_size = 1  # one picture of each batch would be shown
    x, y, z = order.shape
    p.job.expect(x * y * z * p.n_iter * (2 if has_two_passes(p) else 1))
    made = _make_cells(p, order)
    for label, reason in made.idle.items():
        p.job.warn(f"{label} changes nothing here: {reason}.")
    if made.first is None:
        return Processed(p, [])
    return _compose(p, order, made)


def has_two_passes(p: Any) -> bool:
    is_second = getattr(p, "enable_hr", False) and not getattr(p, "firstpass_image", None)
    return bool(is_second) and not is_img2img(p)


def _make_cells(p: Any, order: Order) -> _Made:
    made = _Made(idle={line.axis.label: "" for line in order.lines if line.axis.idle})
    for place in places(order):
        if p.job.is_stopped:
            break
        own = own_copy(p)
        for line, number in zip(order.lines, place, strict=True):
            line.axis.apply(own, line.values[number], line.values)
        _vary_seed(own, order, place)
        _note_idle(own, order, made.idle)
        result = process_images(own)
        if not result.images:
            continue
        made.cells[place] = _cell(own, result)
        if made.first is None:
            made.first, made.first_p = result, own
    made.idle = {label: reason for label, reason in made.idle.items() if reason}
    return made


def places(order: Order) -> Iterator[Place]:
    """Every cell; the axis that is dearest to change changes least often, then Z, Y, X."""
    by_cost = sorted((2, 1, 0), key=lambda number: -order.lines[number].axis.cost)
    for numbers in itertools.product(*(range(order.shape[number]) for number in by_cost)):
        place = dict(zip(by_cost, numbers, strict=True))
        yield place[0], place[1], place[2]


def _vary_seed(own: Any, order: Order, place: Place) -> None:
    """Give each cell along the chosen axes a seed of its own; -1 is random anyway."""
    if isinstance(own.seed, list) or own.seed == -1:
        return
    step = 1
    for varies, number, count in zip(order.varies, place, order.shape, strict=True):
        if varies:
            own.seed += number * step
            step *= count


def _note_idle(own: Any, order: Order, idle: dict[str, str]) -> None:
    """Forget the axes that change something for this cell; what remains never did."""
    for line in order.lines:
        check = line.axis.idle
        if check is None or line.axis.label not in idle:
            continue
        if reason := check(own):
            idle[line.axis.label] = reason
        else:
            del idle[line.axis.label]


def _cell(own: Any, result: Processed) -> Cell:
    return Cell(
        image=result.images[0],
        infotext=result.infotexts[0] if result.infotexts else result.info,
        path=result.paths[0] if result.paths else None,
        prompt=result.all_prompts[0],
        negative_prompt=result.all_negative_prompts[0],
        seed=result.all_seeds[0],
        subseed=result.all_subseeds[0],
    )


def _compose(p: Any, order: Order, made: _Made) -> Processed:
    """The grids, saved, and what goes with them."""
    assert made.first is not None
    cells = list(_in_order(made.cells).values())
    grids, infotexts = _grids(p, order, made.cells)
    save = p.job.save_grid
    paths = [save(made.first_p, *pair) for pair in zip(grids, infotexts, strict=True)]
    lone = cells if order.include_lone_images else []
    whole_result = Processed(
        p,
        [*grids, *(cell.image for cell in lone)],
        seed=cells[0].seed,
        subseed=cells[0].subseed,
        info=infotexts[0],
        all_prompts=[cell.prompt for cell in cells],
        all_negative_prompts=[cell.negative_prompt for cell in cells],
        all_seeds=[cell.seed for cell in cells],
        all_subseeds=[cell.subseed for cell in cells],
        index_of_first_image=len(grids),
        infotexts=[*infotexts, *(cell.infotext for cell in cells)],
    )
    whole_result.paths = [*paths, *(cell.path for cell in lone)]
    whole_result.facts, whole_result.memory = made.first.facts, made.first.memory
    return whole_result


def _grids(p: Any, order: Order, cells: dict[Place, Cell]) -> tuple[list[Image.Image], list[str]]:
    """The grid of all, then those of Z's values if they are wanted; and their infotexts."""
    count = order.shape[2]
    sheets = [_sheet(p, order, cells, number) for number in range(count)]
    first = next(iter(_in_order(cells).values()))
    whole, text = sheets[0], with_pairs(first.infotext, plot_pairs(order.lines))
    if count == 1:
        return [whole], [text]
    titles = tuple(_titles(order.lines[2])) if order.draw_legend else ()
    whole = titled_grid(sheets, count, legend=Legend(titles), look=look_of(p))
    if not order.include_sub_grids:
        return [whole], [text]
    return [whole, *sheets], [text, *(_sheet_text(order, cells, z) for z in range(count))]


def _in_order(cells: dict[Place, Cell]) -> dict[Place, Cell]:
    """Row by row, sheet by sheet, whichever was made first."""
    return dict(sorted(cells.items(), key=lambda row: row[0][::-1]))


def _sheet(p: Any, order: Order, cells: dict[Place, Cell], z: int) -> Image.Image:
    """The grid of one value of Z; cells that were not made are blank."""
    x_count, y_count, _ = order.shape
    look = look_of(p)
    blank = Image.new("RGB", next(iter(cells.values())).image.size, look.background)
    images = [
        cells[x, y, z].image if (x, y, z) in cells else blank
        for y in range(y_count)
        for x in range(x_count)
    ]
    legend = Legend()
    if order.draw_legend:
        legend = Legend(tuple(_titles(order.lines[0])), tuple(_titles(order.lines[1])))
    return titled_grid(images, x_count, legend=legend, margin=order.margin, look=look)


def _titles(line: Line) -> Iterator[Title]:
    for value in line.values:
        yield (Caption(caption_of(line.axis, value)),)


def caption_of(axis: Axis, value: Any) -> str:
    """A value in the legend: of a checkpoint its file's name, without folder and hash."""
    text = axis.caption(value)
    if axis.cost < 1:
        return text
    return re.sub(r"\s*\[[0-9a-f]+\]$", "", re.split(r"[/\\]", text)[-1])


def look_of(p: Any) -> GridLook:
    """Colours and font as the settings say. Raises BadInput for what is no colour."""
    settings = p.job.settings
    for key in ("grid_background_color", "grid_text_active_color", "grid_text_inactive_color"):
        try:
            ImageColor.getrgb(settings[key])
        except (ValueError, AttributeError):
            raise BadInput(key, settings[key], "a colour such as #999999 is expected") from None
    return GridLook(
        background=settings["grid_background_color"],
        active=settings["grid_text_active_color"],
        inactive=settings["grid_text_inactive_color"],
        font=str(settings["font"] or ""),
    )


def _sheet_text(order: Order, cells: dict[Place, Cell], z: int) -> str:
    """The infotext of the sheet's first picture, with X and Y in it; empty without a picture."""
    for place, cell in _in_order(cells).items():
        if place[2] == z:
            return with_pairs(cell.infotext, plot_pairs(order.lines[:2]))
    return ""


def plot_pairs(lines: tuple[Line, ...]) -> dict[str, str]:
    """What a grid's infotext says of its axes. A1111 1.10 behaviour."""
    pairs = {"Script": TITLE}
    for line in lines:
        if not line.is_used:
            continue
        pairs[f"{line.letter} Type"] = line.axis.label
        pairs[f"{line.letter} Values"] = line.text
        if line.axis.is_seed and -1 not in line.values:
            pairs[f"Fixed {line.letter} Values"] = ", ".join(map(str, line.values))
    return pairs


def with_pairs(infotext: str, pairs: dict[str, str]) -> str:
    """An infotext with more names and values, before the version and the user.

    >>> with_pairs("a cat\\nSteps: 8, Size: 8x8, Version: 1, User: me", {"Script": "x: y"})
    'a cat\\nSteps: 8, Size: 8x8, Script: "x: y", Version: 1, User: me'
    """
    end = _INFOTEXT_END.search(infotext)
    place = end.start() if end else len(infotext)
    added = "".join(f", {name}: {quote(value)}" for name, value in pairs.items())
    return infotext[:place] + added + infotext[place:]
