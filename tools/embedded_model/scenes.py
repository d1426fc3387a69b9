"""Draws scenes: canvases of several sizes with one thing, two things, or one thing several times.

Pure functions of their arguments and a random generator. Must not know files, tensors or models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tools.embedded_model.compose import (
    JITTER_PX,
    LOOK_SHARES,
    MIRROR_SHARE,
    SCALES,
    WHITE,
    duotone,
)
from tools.embedded_model.concepts import (
    COLOURS,
    COUNTS,
    TINTS,
    is_count_held_out,
    is_ground_held_out,
    is_pair_held_out,
    is_tint_held_out,
)

CELL_PX = 8
# (width, height) in cells of 8 px, and the share of batches: the native size keeps most of them.
CANVASES: tuple[tuple[int, int, float], ...] = (
    (16, 16, 0.92),
    (12, 12, 0.015),
    (20, 16, 0.01),
    (16, 20, 0.01),
    (24, 16, 0.0125),
    (16, 24, 0.0125),
    (20, 20, 0.01),
    (24, 24, 0.01),
)
NATIVE_CELLS = 16
PAIR_SHARE = 0.28
COUNT_SHARE = 0.1
PAIR_TINT_SHARE = 0.05
# Most drawings stand on the latent grid in one size: a step of less than a cell changes every
# latent, and a small network that sees each drawing shifted in all ways learns only its blur.
ALIGNED_SHARE = 0.85
MARGIN_PX = CELL_PX
SMALL_SHARE = 0.05
SMALL_SCALES = (0.42, 0.6)
# A pair's drawings fill this share of their half of the canvas.
PAIR_SCALES = (0.86, 1.0)
ROW_SHARE = 0.75
PLACES = ("left", "right", "top", "bottom")


@dataclass(frozen=True, slots=True)
class Part:
    """One drawing in a scene: concept by index, tint by name or None; size and corner in px."""

    concept: int
    tint: str | None
    is_mirrored: bool
    size_px: int
    left_px: int
    top_px: int


@dataclass(frozen=True, slots=True)
class Scene:
    """A canvas (width, height) px with its parts.

    One part: `is_small`, and `place` is one of `PLACES` or None for the middle. Two different
    things: `place` is "left" if the first stands left of the second, "top" if it stands above.
    Several parts of one concept are to be counted, and have no place.
    """

    canvas: tuple[int, int]
    background: str | None
    parts: tuple[Part, ...]
    is_small: bool
    place: str | None

    @property
    def is_counted(self) -> bool:
        """Whether it shows one thing several times."""
        return len(self.parts) > 1 and len({part.concept for part in self.parts}) == 1


def draw_canvas(random: np.random.Generator) -> tuple[int, int]:
    """Draw a canvas (width, height) in px from `CANVASES`."""
    shares = np.array([share for _, _, share in CANVASES])
    width, height, _ = CANVASES[int(random.choice(len(CANVASES), p=shares / shares.sum()))]
    return width * CELL_PX, height * CELL_PX


def draw_scene(canvas: tuple[int, int], weights: np.ndarray, random: np.random.Generator) -> Scene:
    """Draw what stands where; `weights` (concepts,) are the chances of each concept.

    Combinations that are held out for the evaluation never come out.
    """
    is_aligned = bool(random.random() < ALIGNED_SHARE)
    kind = random.random()
    if kind < PAIR_SHARE:
        return _draw_pair(canvas, weights, random, is_aligned=is_aligned)
    if kind < PAIR_SHARE + COUNT_SHARE:
        concept = _draw_concept(weights, random)
        allowed = [count for count in COUNTS if not is_count_held_out(concept, count)]
        count = int(random.choice(allowed))
        return draw_several(canvas, concept, count, random, is_aligned=is_aligned)
    return draw_single(canvas, _draw_concept(weights, random), random, is_aligned=is_aligned)


def paint_scene(drawings: Sequence[np.ndarray], scene: Scene) -> np.ndarray:
    """Drawings (128, 128, 4) uint8 of the scene's parts → picture (height, width, 3) uint8."""
    ground = WHITE if scene.background is None else COLOURS[scene.background]
    picture = Image.new("RGB", scene.canvas, ground)
    for rgba, part in zip(drawings, scene.parts, strict=True):
        coloured = rgba if part.tint is None else duotone(rgba, COLOURS[part.tint])
        image = Image.fromarray(coloured)
        if part.is_mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image = image.resize((part.size_px, part.size_px), Image.Resampling.BICUBIC)
        picture.paste(image, (part.left_px, part.top_px), image)
    return np.asarray(picture)


def draw_single(
    canvas: tuple[int, int],
    concept: int,
    random: np.random.Generator,
    *,
    is_aligned: bool = False,
) -> Scene:
    """Draw a scene of one thing: colours, size and place; `is_aligned`: on the latent grid."""
    tint, ground = _draw_colours(concept, random)
    is_small = bool(random.random() < SMALL_SHARE)
    if is_aligned:
        size = min(canvas) // 2 if is_small else min(canvas) - 2 * MARGIN_PX
    else:
        size = round(min(canvas) * random.uniform(*(SMALL_SCALES if is_small else SCALES)))
    place = _draw_place(canvas, is_small, random)
    middle_x = _along("left", "right", place, canvas[0], size)
    middle_y = _along("top", "bottom", place, canvas[1], size)
    part = _place_part(canvas, (middle_x, middle_y), size, concept, tint, random, is_aligned)
    return Scene(canvas, ground, (part,), is_small, place)


def _draw_place(canvas: tuple[int, int], is_small: bool, random: np.random.Generator) -> str | None:
    if is_small:
        choices: tuple[str, ...] = PLACES
    elif canvas[0] > canvas[1] * 1.3:
        choices = PLACES[:2]
    elif canvas[1] > canvas[0] * 1.3:
        choices = PLACES[2:]
    else:
        return None
    return None if random.random() < 0.5 else choices[int(random.integers(len(choices)))]


def _along(low: str, high: str, place: str | None, length: int, size: int) -> float:
    """Middle of a drawing on one axis: near the edge named by `place`, or in the middle."""
    near = size / 2 + JITTER_PX
    if place == low:
        return near
    return length - near if place == high else length / 2


def draw_several(
    canvas: tuple[int, int],
    concept: int,
    count: int,
    random: np.random.Generator,
    *,
    is_aligned: bool = False,
) -> Scene:
    """Draw a scene of one thing `count` (2 to 4) times, all in one colour."""
    is_row = _is_row(canvas, random) if count == 2 else canvas[0] >= canvas[1]
    middles, room = _lay_out(canvas, count, is_row=is_row)
    size = round(room * (1.0 if is_aligned else random.uniform(*PAIR_SCALES)))
    tint, ground = _draw_colours(concept, random)
    parts = [
        _place_part(canvas, middle, size, concept, tint, random, is_aligned) for middle in middles
    ]
    return Scene(canvas, ground, tuple(parts), is_small=False, place=None)


def draw_ordered(
    canvas: tuple[int, int],
    pair: tuple[int, int],
    random: np.random.Generator,
    *,
    is_aligned: bool = False,
) -> Scene:
    """Draw a scene of two different things, the first left of the second or above it."""
    is_row = _is_row(canvas, random)
    middles, room = _lay_out(canvas, 2, is_row=is_row)
    parts = []
    for concept, middle in zip(pair, middles, strict=True):
        size = round(room * (1.0 if is_aligned else random.uniform(*PAIR_SCALES)))
        tint = _draw_tint(concept, random) if random.random() < PAIR_TINT_SHARE else None
        parts.append(_place_part(canvas, middle, size, concept, tint, random, is_aligned))
    first, second = pair
    ground = _draw_ground(first, {part.tint for part in parts}, random)
    if ground is not None and (random.random() < 0.65 or is_ground_held_out(second, ground)):
        ground = None
    return Scene(canvas, ground, tuple(parts), is_small=False, place="left" if is_row else "top")


def _draw_pair(
    canvas: tuple[int, int], weights: np.ndarray, random: np.random.Generator, *, is_aligned: bool
) -> Scene:
    first = _draw_concept(weights, random)
    second = _draw_concept(weights, random)
    while first == second or is_pair_held_out(first, second):
        second = _draw_concept(weights, random)
    return draw_ordered(canvas, (first, second), random, is_aligned=is_aligned)


def _is_row(canvas: tuple[int, int], random: np.random.Generator) -> bool:
    width, height = canvas
    return width > height or (width == height and bool(random.random() < ROW_SHARE))


def _lay_out(
    canvas: tuple[int, int], count: int, *, is_row: bool
) -> tuple[list[tuple[float, float]], float]:
    """Middles of `count` drawings in px, and the side of the square that each has.

    In a row (or column) where that leaves each at least half of the canvas' other side; three
    and four on a square stand in two rows.
    """
    width, height = canvas
    along, across = (width, height) if is_row else (height, width)
    if count == 2 or along / count >= across / 2:
        middles = [(along * (0.5 + index) / count, across / 2) for index in range(count)]
        room = min(along / count, across)
    else:
        above, below = count // 2 + count % 2, count // 2
        middles = [(along * (0.5 + k) / above, across / 4) for k in range(above)]
        start = (above - below) / 2
        middles += [(along * (0.5 + start + k) / above, across * 3 / 4) for k in range(below)]
        room = min(along / above, across / 2)
    return [(x, y) if is_row else (y, x) for x, y in middles], room


def _place_part(
    canvas: tuple[int, int],
    middle: tuple[float, float],
    size: int,
    concept: int,
    tint: str | None,
    random: np.random.Generator,
    is_aligned: bool,
) -> Part:
    corner = np.array(middle) - size / 2
    if is_aligned:
        corner = (corner / CELL_PX).round() * CELL_PX
    else:
        corner = corner + random.integers(-JITTER_PX, JITTER_PX + 1, 2)
    left, top = np.clip(corner.round(), 0, np.array(canvas) - size)
    is_mirrored = not is_aligned and bool(random.random() < MIRROR_SHARE)
    return Part(concept, tint, is_mirrored, size, int(left), int(top))


def _draw_colours(concept: int, random: np.random.Generator) -> tuple[str | None, str | None]:
    """(tint, background), in the shares of `LOOK_SHARES`, nothing held out."""
    kind = random.choice(len(LOOK_SHARES), p=LOOK_SHARES)
    tint = _draw_tint(concept, random) if kind >= 2 else None
    return tint, _draw_ground(concept, {tint}, random) if kind in (1, 3) else None


def _draw_tint(concept: int, random: np.random.Generator) -> str:
    allowed = [tint for tint in TINTS if not is_tint_held_out(concept, tint)]
    return str(random.choice(allowed))


def _draw_ground(concept: int, taken: set[str | None], random: np.random.Generator) -> str | None:
    allowed = [n for n in COLOURS if n not in taken and not is_ground_held_out(concept, n)]
    return str(random.choice(allowed))


def _draw_concept(weights: np.ndarray, random: np.random.Generator) -> int:
    return int(random.choice(len(weights), p=weights))
