"""Painted looks show what they say."""

import numpy as np
import pytest

from tools.embedded_model.compose import CANVAS_PX, Look, draw_look, duotone, paint
from tools.embedded_model.concepts import COLOURS


@pytest.fixture
def square() -> np.ndarray:
    """A drawing (128, 128, 4): an opaque red square in the middle, its left half darker."""
    rgba = np.zeros((128, 128, 4), np.uint8)
    rgba[32:96, 32:96] = (255, 0, 0, 255)
    rgba[32:96, 32:64, 0] = 100
    return rgba


def plain(**changes: object) -> Look:
    values: dict[str, object] = {
        "background": None,
        "tint": None,
        "is_mirrored": False,
        "size_px": 128,
        "left_px": 0,
        "top_px": 0,
    }
    return Look(**(values | changes))  # type: ignore[arg-type]


def test_paint_puts_the_named_colour_behind_the_drawing(square: np.ndarray) -> None:
    painted = paint(square, plain(background="teal"))
    assert tuple(painted[0, 0]) == COLOURS["teal"]
    assert tuple(painted[64, 80]) == (255, 0, 0)


def test_paint_mirrors(square: np.ndarray) -> None:
    painted = paint(square, plain(is_mirrored=True))
    assert painted[64, 40, 0] == 255
    assert painted[64, 88, 0] == 100


def test_duotone_keeps_alpha_and_order_of_brightness(square: np.ndarray) -> None:
    tinted = duotone(square, COLOURS["blue"])
    assert (tinted[..., 3] == square[..., 3]).all()
    assert tinted[64, 40].sum() < tinted[64, 80].sum()
    assert tinted[64, 80, 2] > tinted[64, 80, 0]


def test_every_drawn_look_stays_on_the_canvas() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        look = draw_look(random)
        assert 0 <= look.left_px <= CANVAS_PX - look.size_px
        assert 0 <= look.top_px <= CANVAS_PX - look.size_px
        assert look.tint is None or look.tint != look.background
