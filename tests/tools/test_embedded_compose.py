"""Composed pictures and their captions agree with each other and with the tables."""

import numpy as np
import pytest

from tools.embedded_model.compose import CANVAS_PX, Look, caption, draw_look, duotone, paint
from tools.embedded_model.concepts import COLOURS, CONCEPTS, STYLES, TINTS
from tools.embedded_model.latents import row_weights


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


def test_captions_say_tint_and_ground_and_drop_a_tenth() -> None:
    random = np.random.default_rng(0)
    texts = [caption(CONCEPTS[0], STYLES[1], "blue", "green", random) for _ in range(1000)]
    said = [text for text in texts if text]
    assert all("blue cat" in text and "green" in text for text in said)
    assert 60 < texts.count("") < 140
    named = sum("flat style" in text for text in said) / len(said)
    assert abs(named - (1 - STYLES[1].unnamed)) < 0.05


@pytest.mark.parametrize(("index", "wanted"), [(10, "an elephant"), (0, "a cat")])
def test_articles_fit_the_word(index: int, wanted: str) -> None:
    random = np.random.default_rng(0)
    texts = {caption(CONCEPTS[index], STYLES[0], None, None, random) for _ in range(300)}
    assert any(wanted in text for text in texts)
    assert not any("a elephant" in text or "an cat" in text for text in texts)


def test_concepts_have_one_code_and_one_best_word_each() -> None:
    assert len({concept.code for concept in CONCEPTS}) == len(CONCEPTS)
    assert len({concept.name for concept in CONCEPTS}) == len(CONCEPTS)
    assert set(TINTS) <= set(COLOURS)
    assert sum(style.draws for style in STYLES) == 1


def test_rows_are_drawn_by_style_and_never_if_postponed() -> None:
    postponed = next(index for index, concept in enumerate(CONCEPTS) if concept.is_postponed)
    rows = [(0, style, -1, -1) for style in range(len(STYLES)) for _ in range(1 + style)]
    weights = row_weights(np.array([*rows, (postponed, 1, -1, -1)]))
    assert weights.sum() == pytest.approx(1)
    assert weights[-1] == 0
    by_style = [weights[[row[1] == style for row in rows] + [False]].sum() for style in range(3)]
    assert by_style[0] == 0
    assert by_style[1] < by_style[2]
