"""The judge never sees what it is judged by, and goes on after a kill."""

from pathlib import Path

import numpy as np
import torch

from tools.embedded_model import classifier, counter
from tools.embedded_model.classifier import (
    CANVASES_PX,
    Classifier,
    fit,
    held_out_rows,
    held_out_scenes,
    measure,
    paint_looks,
)
from tools.embedded_model.clip_data import LOOKS, Pool, augment
from tools.embedded_model.concepts import CONCEPTS, STYLES
from tools.embedded_model.counter import NUMBERS, numbers, paint_numbers
from tools.embedded_model.data import Picture
from tools.embedded_model.scenes import Part, Scene, draw_single


def drawing(code: str, style: str = "flat") -> Picture:
    rgba = np.random.default_rng(0).integers(0, 256, (128, 128, 4), np.uint8)
    return Picture(code, "a thing", style, rgba)


def pool_of_two_sets() -> Pool:
    """All concepts, two sets of looks each; every picture is the grey of its row's number."""
    count = 2 * LOOKS * len(CONCEPTS)
    rows = torch.arange(count).view(len(CONCEPTS), -1)
    pictures = (torch.arange(count) % 251).to(torch.uint8)[:, None, None, None]
    part = Part(0, None, is_mirrored=False, size_px=8, left_px=0, top_px=0)
    scenes = tuple(
        Scene((number, 8), None, (part,), is_small=False, place=None) for number in range(count)
    )
    own = tuple(tuple(row.tolist()) for row in rows)
    return Pool(pictures.expand(-1, 3, 64, 64), own, scenes, (0,) * count, ())


def test_the_last_looks_of_every_drawing_are_held_out() -> None:
    pool = pool_of_two_sets()
    rows = held_out_rows(pool)
    assert len(rows) == 2 * classifier.HELD_OUT_LOOKS * len(CONCEPTS)
    first = [row for row, concept in rows.tolist() if concept == 0]
    assert first == [13, 14, 15, 29, 30, 31]
    assert {scene.canvas[0] for scene in held_out_scenes(pool)} == set(rows[:, 0].tolist())


def test_a_held_out_scene_is_never_painted() -> None:
    pictures = [drawing(CONCEPTS[3].code), drawing("no concept")]
    random = np.random.default_rng(23)
    side = int(random.choice(CANVASES_PX))
    first = draw_single((side, side), 3, random)
    everything, concepts = paint_looks(pictures, set(), looks=2)
    without, _ = paint_looks(pictures, {first}, looks=2)
    assert everything.shape == (2, 3, 64, 64) and concepts.tolist() == [3, 3]
    assert torch.equal(without[0], everything[1]) and not torch.equal(without[0], everything[0])


def test_small_pictures_stay_whole() -> None:
    pictures = torch.full((32, 3, 64, 64), 255, dtype=torch.uint8)
    pictures[:, :, 8:56, 8:56] = 0
    shown = augment(pictures, np.random.default_rng(0), small_share=1.0)
    dark = (shown < 0.5).flatten(1).float().mean(1)
    # The square fills 0.56 of the picture: at scales of 0.4 to 0.85 that is 0.09 to 0.41.
    assert float(dark.min()) > 0.08
    assert float(dark.max()) < 0.42
    whole = augment(pictures, np.random.default_rng(0))
    assert float((whole < 0.5).float().mean()) > float(dark.mean()) + 0.1


def test_a_judge_that_knows_one_word_is_right_once_in_every_concept() -> None:
    judge = Classifier()
    with torch.no_grad():
        judge.head[1].weight.zero_()
        judge.head[1].bias[5] = 100
    assert measure(judge, pool_of_two_sets()) == 1 / len(CONCEPTS)


def test_a_killed_training_goes_on_from_its_last_round(tmp_path: Path) -> None:
    looks = (
        torch.from_numpy(np.random.default_rng(1).integers(0, 256, (64, 3, 64, 64), np.uint8)),
        torch.arange(64),
    )
    whole, broken, resumed = [], [], []
    first = fresh()
    for turn, loss in fit(first, tmp_path / "whole.pt", looks):
        whole.append((turn, loss))
        if turn == 3:
            break
    for turn, loss in fit(fresh(), tmp_path / "broken.pt", looks):
        broken.append((turn, loss))
        if turn == 2:
            break
    last = Classifier()
    for turn, loss in fit(last, tmp_path / "broken.pt", looks):
        resumed.append((turn, loss))
        break
    assert whole == broken + resumed
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, last.state_dict()[name]), name


def test_a_state_of_other_concepts_is_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "partial.pt"
    torch.save({"codes": ["1f600"], "rounds": classifier.ROUNDS}, path)
    looks = (torch.zeros(64, 3, 64, 64, dtype=torch.uint8), torch.arange(64))
    assert next(fit(Classifier(), path, looks))[0] == 1


def fresh() -> Classifier:
    torch.manual_seed(0)
    return Classifier()


def test_counter_learns_from_every_drawing_in_every_number() -> None:
    drawings = {(3, style): drawing(CONCEPTS[3].code) for style in range(len(STYLES))}
    pictures, labels = paint_numbers(drawings, [3], seed=0)
    assert len(pictures) == len(labels) == len(STYLES) * len(NUMBERS) * counter.LOOKS
    assert labels.bincount().tolist() == [len(STYLES) * counter.LOOKS] * len(NUMBERS)
    white = (pictures.float().mean((1, 2, 3)) == 255).sum()
    assert int(white) == 0


def test_numbers_are_those_of_the_likeliest_class() -> None:
    model = Classifier(len(NUMBERS)).eval()
    last = model.head[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.0, 0.0, 1.0, 0.0]))
    found = numbers(model, np.zeros((2, 128, 192, 3), np.uint8))
    assert found.tolist() == [NUMBERS[2]] * 2
