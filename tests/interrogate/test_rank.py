"""How pictures reach the model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image

from modules.interrogate.rank import MAX_SIDE, Reader


class Eye:
    """Notes what it is shown."""

    def __init__(self) -> None:
        self.seen: list[Image.Image] = []

    def see(self, picture: Image.Image) -> torch.Tensor:
        self.seen.append(picture)
        return torch.ones(1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"])
def test_huge_pictures_of_every_mode_are_made_smaller(mode: str) -> None:
    eye: Any = Eye()
    Reader(eye, features=Any, model_key="").look_at(Image.new(mode, (3 * MAX_SIDE, 2000)))
    assert (eye.seen[0].size, eye.seen[0].mode) == ((MAX_SIDE, 667), "RGB")


@pytest.mark.parametrize("clear", [None, 0])
def test_a_palettes_colours_are_kept(clear: int | None) -> None:
    picture = Image.new("RGB", (2 * MAX_SIDE, 100), "red").convert("P")
    if clear is not None:
        picture.info["transparency"] = picture.getpixel((0, 0))
    eye: Any = Eye()
    Reader(eye, features=Any, model_key="").look_at(picture)
    expected = (255, 0, 0) if clear is None else (255, 255, 255)
    assert eye.seen[0].getpixel((5, 5)) == expected
