"""Contact sheets: several pictures side by side in one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image


def grid_rows(
    count: int, *, rows: int = -1, batch_size: int = 1, prevent_empty: bool = False
) -> int:
    """How many rows `count` pictures get (A1111 1.10 behaviour of the setting n_rows).

    rows: the setting; above 0 that many, 0 one per batch, -1 about a square.
    prevent_empty: with -1, the largest number of rows that leaves no cell empty.

    >>> [grid_rows(n) for n in (1, 2, 3, 4, 6, 7)]
    [1, 1, 2, 2, 2, 3]
    >>> grid_rows(7, prevent_empty=True), grid_rows(12, prevent_empty=True)
    (1, 3)
    """
    if rows > 0:
        found = rows
    elif rows == 0:
        found = batch_size
    elif prevent_empty:
        found = next(n for n in range(math.isqrt(count), 0, -1) if count % n == 0)
    else:
        found = round(math.sqrt(count))
    return max(1, min(found, count))


def image_grid(
    images: Sequence[Image.Image], rows: int | None = None, *, background: str = "#000000"
) -> Image.Image:
    """`images` (RGB, any sizes) in reading order; every cell is as large as the largest.

    Smaller ones stand in the middle of theirs. rows: None means about a square. Raises ValueError
    for no images.
    """
    if not images:
        raise ValueError("A grid needs at least one image")
    rows = grid_rows(len(images)) if rows is None else max(1, min(rows, len(images)))
    columns = math.ceil(len(images) / rows)
    width = max(image.width for image in images)
    height = max(image.height for image in images)
    grid = Image.new("RGB", (columns * width, rows * height), background)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        place = (column * width, row * height)
        paste_centred(grid, image, place, (width, height), background=background)
    return grid


def paste_centred(
    grid: Image.Image,
    image: Image.Image,
    place: tuple[int, int],
    cell: tuple[int, int],
    *,
    background: str = "#000000",
) -> None:
    """Put a picture into the middle of the cell at `place` (x, y), with `background` around it."""
    (x, y), (width, height) = place, cell
    if image.size != cell:
        grid.paste(background, (x, y, x + width, y + height))
    grid.paste(image, (x + (width - image.width) // 2, y + (height - image.height) // 2))
