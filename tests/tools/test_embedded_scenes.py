"""Scenes stay on their canvas, leave out what is held out, and captions say what they show."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tools.embedded_model.captions import caption, plural
from tools.embedded_model.clip_data import Composer, counted_scenes, ordered_scenes
from tools.embedded_model.concepts import (
    COLOURS,
    CONCEPTS,
    COUNTS,
    STYLES,
    TINTS,
    is_count_held_out,
    is_ground_held_out,
    is_pair_held_out,
    is_tint_held_out,
)
from tools.embedded_model.data import Picture
from tools.embedded_model.latents import WEIGHTS_FILE, read_weights
from tools.embedded_model.scenes import (
    ALIGNED_SHARE,
    CANVASES,
    CELL_PX,
    Part,
    Scene,
    draw_scene,
    draw_several,
    paint_scene,
)

EVEN = np.full(len(CONCEPTS), 1 / len(CONCEPTS))


def scene(*parts: Part, place: str | None = None, ground: str | None = None) -> Scene:
    return Scene((128, 128), ground, parts, is_small=False, place=place)


def part(concept: int, tint: str | None = None, left_px: int = 0) -> Part:
    return Part(concept, tint, is_mirrored=False, size_px=64, left_px=left_px, top_px=32)


def texts_of(shown: Scene, count: int = 400) -> list[str]:
    random = np.random.default_rng(0)
    return [caption(shown, STYLES[1], random) for _ in range(count)]


@pytest.mark.parametrize(("width", "height"), [(w, h) for w, h, _ in CANVASES])
def test_every_part_stays_on_the_canvas(width: int, height: int) -> None:
    random = np.random.default_rng(width + height)
    canvas = (width * CELL_PX, height * CELL_PX)
    for _ in range(200):
        for shown in draw_scene(canvas, EVEN, random).parts:
            assert 0 <= shown.left_px <= canvas[0] - shown.size_px
            assert 0 <= shown.top_px <= canvas[1] - shown.size_px


@pytest.mark.parametrize(("width", "height"), [(w, h) for w, h, _ in CANVASES])
def test_most_parts_stand_on_the_latent_grid_as_they_were_drawn(width: int, height: int) -> None:
    random = np.random.default_rng(width * height)
    canvas = (width * CELL_PX, height * CELL_PX)
    scenes = [draw_scene(canvas, EVEN, random) for _ in range(400)]
    aligned = [
        all(
            shown.size_px % CELL_PX == shown.left_px % CELL_PX == shown.top_px % CELL_PX == 0
            and not shown.is_mirrored
            for shown in drawn.parts
        )
        for drawn in scenes
    ]
    assert ALIGNED_SHARE - 0.08 < np.mean(aligned) < 1


def test_nothing_held_out_is_drawn() -> None:
    random = np.random.default_rng(0)
    kinds: set[int] = set()
    for _ in range(3000):
        drawn = draw_scene((128, 128), EVEN, random)
        kinds.add(len(drawn.parts))
        for shown in drawn.parts:
            assert shown.tint is None or not is_tint_held_out(shown.concept, shown.tint)
            assert drawn.background is None or not is_ground_held_out(
                shown.concept, drawn.background
            )
            assert shown.tint is None or shown.tint != drawn.background
        if drawn.is_counted:
            assert not is_count_held_out(drawn.parts[0].concept, len(drawn.parts))
            assert len({(shown.concept, shown.tint, shown.size_px) for shown in drawn.parts}) == 1
        elif len(drawn.parts) == 2:
            assert not is_pair_held_out(drawn.parts[0].concept, drawn.parts[1].concept)
    assert kinds == {1, 2, 3, 4}


def test_held_out_combinations_exist_for_every_colour() -> None:
    concepts = range(len(CONCEPTS))
    assert all(any(is_tint_held_out(c, tint) for c in concepts) for tint in TINTS)
    assert all(any(is_ground_held_out(c, colour) for c in concepts) for colour in COLOURS)


def test_a_row_puts_the_first_part_left() -> None:
    random = np.random.default_rng(3)
    rows = [draw_scene((192, 128), EVEN, random) for _ in range(2000)]
    pairs = [drawn for drawn in rows if len(drawn.parts) == 2 and not drawn.is_counted]
    assert pairs
    for drawn in pairs:
        first, second = drawn.parts
        assert drawn.place == "left"
        assert first.left_px + first.size_px / 2 < 96 < second.left_px + second.size_px / 2


@pytest.mark.parametrize("canvas", [(128, 128), (192, 128), (128, 192), (96, 96)])
@pytest.mark.parametrize("count", COUNTS)
def test_counted_parts_do_not_overlap(canvas: tuple[int, int], count: int) -> None:
    drawn = draw_several(canvas, 5, count, np.random.default_rng(count), is_aligned=True)
    assert len(drawn.parts) == count and drawn.is_counted
    taken = np.zeros((canvas[1], canvas[0]), int)
    for shown in drawn.parts:
        rows = slice(shown.top_px, shown.top_px + shown.size_px)
        taken[rows, shown.left_px : shown.left_px + shown.size_px] += 1
    assert taken.max() == 1
    assert taken.sum() == count * drawn.parts[0].size_px ** 2


def test_captions_of_several_say_the_number() -> None:
    parts = [part(0, "blue", left_px=64 * k) for k in range(2)]
    texts = [text for text in texts_of(scene(*parts)) if text]
    assert texts and all("two blue cats" in text for text in texts)
    one = scene(part(0))
    assert not any("cats" in text or "kittens" in text for text in texts_of(one))


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ("red car", "red cars"),
        ("slice of pizza", "slices of pizza"),
        ("face with sunglasses", "faces with sunglasses"),
        ("cherry", "cherries"),
        ("monkey", "monkeys"),
        ("bus", "buses"),
        ("glasses", "glasses"),
        ("fox", "foxes"),
        ("mouse", "mice"),
        ("sheep", "sheep"),
    ],
)
def test_plural(one: str, several: str) -> None:
    assert plural(one) == several


def test_exact_captions_always_say_the_order() -> None:
    random = np.random.default_rng(0)
    pair = scene(part(0), part(1, left_px=64), place="left")
    texts = {caption(pair, STYLES[1], random, is_exact=True) for _ in range(200)}
    assert all("left of" in text or "right of" in text for text in texts)


def test_compositions_differ_in_order_and_number_alone() -> None:
    random = np.random.default_rng(0)
    straight, turned = ordered_scenes(3, 7, random)
    assert [shown.concept for shown in straight.parts] == [3, 7]
    assert [shown.concept for shown in turned.parts] == [7, 3]
    assert straight.place == turned.place
    counted = counted_scenes(3, COUNTS, random)
    assert [len(drawn.parts) for drawn in counted] == [1, *COUNTS]
    assert {shown.concept for drawn in counted for shown in drawn.parts} == {3}


def test_composer_leaves_out_what_is_held_out() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (128, 128, 4), np.uint8)
    picture = Picture("1f431", "cat", "flat", rgba)
    keys = [(c, s) for c in range(len(CONCEPTS)) for s in range(len(STYLES))]
    composer = Composer(dict.fromkeys(keys, picture))
    pictures, captions = composer.draw(64, np.random.default_rng(1))
    assert pictures.shape[1:] == (3, 64, 64) and pictures.dtype == torch.uint8
    assert 32 < len(pictures) == len(captions) <= 64
    assert all(captions)


def test_paint_scene_paints_each_part_in_its_place() -> None:
    red = np.full((128, 128, 4), 255, np.uint8)
    red[..., 1:3] = 0
    shown = scene(part(0), part(1, left_px=64), place="left", ground="teal")
    picture = paint_scene([red, red[..., [2, 1, 0, 3]]], shown)
    assert picture.shape == (128, 128, 3)
    assert tuple(picture[0, 0]) == COLOURS["teal"]
    assert tuple(picture[64, 32]) == (255, 0, 0)
    assert tuple(picture[64, 96]) == (0, 0, 255)


def test_captions_say_tint_and_ground_and_drop_a_tenth() -> None:
    texts = texts_of(scene(part(0, "blue"), ground="green"), 1000)
    said = [text for text in texts if text]
    assert all("blue cat" in text and "green" in text for text in said)
    assert 60 < texts.count("") < 140
    named = sum("flat style" in text for text in said) / len(said)
    assert abs(named - (1 - STYLES[1].unnamed)) < 0.05


def test_captions_of_a_pair_name_both_and_never_turn_them_round() -> None:
    texts = [text for text in texts_of(scene(part(0, "red"), part(1, "red"), place="left")) if text]
    assert all("red cat" in text and "red dog" in text for text in texts)
    left = [text for text in texts if "left of" in text]
    right = [text for text in texts if "right of" in text]
    assert left and all(text.index("cat") < text.index("dog") for text in left)
    assert right and all(text.index("dog") < text.index("cat") for text in right)


@pytest.mark.parametrize(("name", "wanted"), [("elephant", "an elephant"), ("cat", "a cat")])
def test_articles_fit_the_word(name: str, wanted: str) -> None:
    index = next(i for i, concept in enumerate(CONCEPTS) if concept.name == name)
    texts = set(texts_of(scene(part(index))))
    assert any(wanted in text for text in texts)
    assert not any("a elephant" in text or "an cat" in text for text in texts)


def test_concepts_have_one_code_and_one_best_word_each() -> None:
    assert len({concept.code for concept in CONCEPTS}) == len(CONCEPTS)
    assert len({concept.name for concept in CONCEPTS}) == len(CONCEPTS)
    assert set(TINTS) <= set(COLOURS)
    assert sum(style.draws for style in STYLES) == 1


def test_weights_follow_the_file_if_there_is_one(tmp_path: Path) -> None:
    assert read_weights(tmp_path, is_everything=True) == pytest.approx(EVEN)
    (tmp_path / WEIGHTS_FILE).write_text(json.dumps({"cat": 3.0}), encoding="utf-8")
    weights = read_weights(tmp_path)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] == pytest.approx(3 * weights[1])


def test_postponed_concepts_are_never_drawn_unless_asked_for(tmp_path: Path) -> None:
    weights = read_weights(tmp_path)
    assert weights.sum() == pytest.approx(1)
    assert [w > 0 for w in weights] == [not concept.is_postponed for concept in CONCEPTS]
