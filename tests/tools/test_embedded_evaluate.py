"""The measures of the embedded model can fail."""

import numpy as np
import torch

from tools.embedded_model.classifier import Classifier, ranks
from tools.embedded_model.concepts import COLOURS, CONCEPTS
from tools.embedded_model.measures import (
    background_share,
    both_shown,
    crops,
    ground_colours,
    halves,
    recognition,
    tint_share,
)


def grounds(*names: str) -> np.ndarray:
    pictures = np.zeros((len(names), 128, 128, 3), np.uint8)
    for picture, name in zip(pictures, names, strict=True):
        picture[:] = COLOURS[name]
    return pictures


def test_background_share_counts_the_border_and_nothing_else() -> None:
    pictures = grounds("teal", "teal")
    pictures[:, 32:96, 32:96] = COLOURS["red"]
    assert background_share(pictures, ["teal", "teal"]) == 1
    assert background_share(pictures, ["teal", "red"]) == 0.5


def test_ground_colours_know_white() -> None:
    assert ground_colours(np.full((1, 128, 128, 3), 250, np.uint8)) == ["white"]


def test_tint_share_looks_at_the_drawing_and_not_at_the_ground() -> None:
    pictures = grounds("black", "black", "black")
    for picture, name in zip(pictures, ("red", "green", "grey"), strict=True):
        picture[32:96, 32:96] = COLOURS[name]
    assert tint_share(pictures, ["red", "green", "grey"]) == 1
    assert tint_share(pictures, ["red", "blue", "pink"]) == 1 / 3


def test_ranks_follow_the_logits() -> None:
    classifier = Classifier().eval()
    linear = classifier.head[1]
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.copy_(torch.arange(len(CONCEPTS), 0, -1).float())
    white = np.full((3, 128, 128, 3), 255, np.uint8)
    assert ranks(classifier, white, [0, 4, 63]).tolist() == [0, 4, 63]


def test_recognition_counts_first_and_first_five() -> None:
    assert recognition(np.array([0, 4, 5, 9])).rounded() == {
        "prompts": 4,
        "first": 0.25,
        "first five": 0.5,
    }


def test_crops_of_an_oblong_picture_are_its_ends_and_middle() -> None:
    picture = np.arange(6, dtype=np.uint8)[None, None, :, None] * np.ones((1, 2, 1, 3), np.uint8)
    assert [part[0, 0, :, 0].tolist() for part in crops(picture)] == [[0, 1], [2, 3], [4, 5]]
    assert len(crops(picture[:, :, :2])) == 1


def test_halves_are_squares_of_left_and_right() -> None:
    picture = np.zeros((1, 8, 8, 3), np.uint8)
    picture[:, :, 4:] = 9
    left, right = halves(picture, is_row=True)
    assert left.shape == right.shape == (1, 4, 4, 3)
    assert (left.max(), right.min()) == (0, 9)
    upper, lower = halves(picture.swapaxes(1, 2), is_row=False)
    assert (upper.max(), lower.min()) == (0, 9)


def test_both_shown_wants_two_different_halves() -> None:
    straight, turned, same_half = [[0, 9], [9, 0]], [[9, 0], [0, 9]], [[0, 0], [9, 9]]
    places = np.array([straight, turned, same_half])
    assert both_shown(places, in_order=False).tolist() == [True, True, False]
    assert both_shown(places, in_order=True).tolist() == [True, False, False]
