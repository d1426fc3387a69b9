"""An X/Y/Z plot made: every picture of it, and the grids. Knows no gradio."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from easel_plots.axes import Axis
from easel_plots.grids import Size, cell_size, look_of, most_megapixels, shows_batches
from easel_plots.names import is_img2img
from easel_plots.order import Arguments, Line, Order, own_copy, read_order
from modules.core.errors import BadInput, UnsupportedImage
from modules.extensions import Processed, process_images
from modules.images.annotate import Legend, grid_size, titled_grid
from modules.images.titles import Caption, Title
from modules.params.infotext_text import quote
from modules.processing.p import next_seed

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
    order = read_order(p, arguments)
    if not shows_batches(p):
        _take_one_each(p)
    _check_size(p, order)
    if not order.keeps_random_seeds:
        p.seed, p.subseed = p.fixed_seed(p.seed), p.fixed_seed(p.subseed)
    x, y, z = order.shape
    p.job.expect(x * y * z * p.n_iter * (2 if has_two_passes(p) else 1))
    made = _make_cells(p, order)
    for label, reason in made.idle.items():
        p.job.warn(f"{label} changes nothing here: {reason}.")
    if made.first is None:
        return Processed(p, [])
    return _compose(p, order, made)


def _take_one_each(p: Any) -> None:
    """Make one picture for each cell; without a batch's grid only its first would be shown."""
    count = p.batch_size * p.n_iter
    if count == 1:
        return
    p.job.warn(f"Each cell has one picture, not {count}: no grids of batches are made here.")
    p.batch_size = p.n_iter = 1
    if is_img2img(p):
        p.init_images = p.init_images[:1]


def _check_size(p: Any, order: Order) -> None:
    """Raises BadInput for a grid above the setting img_max_size_mp, a bad colour or font."""
    x, y, z = order.shape
    limit, look = most_megapixels(p), look_of(p)
    try:
        sheet = grid_size(_largest_cell(p, order), x * y, x, legend=_legend(order),
                          margin=order.margin, look=look, most_megapixels=limit)  # fmt: skip
        if order.lines[2].is_used:
            grid_size(sheet, z, z, legend=_legend_z(order), look=look, most_megapixels=limit)
    except UnsupportedImage as error:
        allowed = f"grids may have at most {limit:g} MP (setting img_max_size_mp)"
        raise BadInput(TITLE, f"{x}x{y}x{z} pictures, {error.value}", allowed) from error


def _largest_cell(p: Any, order: Order) -> Size:
    """As wide as the widest picture, or batch, of the plot, and as high as the highest."""
    sizes = [cell_size(p)]
    for line in order.lines:
        if line.axis.label == "Size":  # of several such axes the last one counts
            sizes = [cell_size(_with_value(p, line, value)) for value in line.values]
    return max(width for width, _ in sizes), max(height for _, height in sizes)


def _with_value(p: Any, line: Line, value: Any) -> Any:
    own = own_copy(p)
    line.axis.apply(own, value, line.values)
    return own


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
            own.seed = next_seed(own.seed, number * step)
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
    try:
        grids, infotexts = _grids(p, order, made.cells)
    except UnsupportedImage as error:  # an extension made pictures larger than was asked for
        p.job.warn(f"There is no grid of all pictures. {error}")
        grids, infotexts = [], []
    save = p.job.save_grid
    paths = [save(made.first_p, *pair) for pair in zip(grids, infotexts, strict=True)]
    lone = cells if order.include_lone_images or not grids else []
    whole_result = Processed(
        p,
        [*grids, *(cell.image for cell in lone)],
        seed=cells[0].seed,
        subseed=cells[0].subseed,
        info=[*infotexts, cells[0].infotext][0],
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
    if not order.lines[2].is_used:
        return [whole], [text]
    whole = titled_grid(
        sheets, count, legend=_legend_z(order), look=look_of(p),
        most_megapixels=most_megapixels(p),
    )  # fmt: skip
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
    return titled_grid(
        images, x_count, legend=_legend(order), margin=order.margin, look=look,
        most_megapixels=most_megapixels(p),
    )  # fmt: skip


def _legend(order: Order) -> Legend:
    """Of a sheet."""
    if not order.draw_legend:
        return Legend()
    return Legend(tuple(_titles(order.lines[0])), tuple(_titles(order.lines[1])))


def _legend_z(order: Order) -> Legend:
    """Of the sheets side by side."""
    return Legend(tuple(_titles(order.lines[2])) if order.draw_legend else ())


def _titles(line: Line) -> Iterator[Title]:
    for value in line.shown:
        yield (Caption(caption_of(line.axis, value)),)


def caption_of(axis: Axis, value: Any) -> str:
    """A value in the legend: of a checkpoint what was given, without its folder."""
    text = axis.caption(value)
    return text if axis.cost < 1 else re.split(r"[/\\]", text)[-1]


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
