"""The measures of the embedded model can fail."""

import numpy as np
import torch

from tools.embedded_model.classifier import Classifier, ranks
from tools.embedded_model.concepts import COLOURS, CONCEPTS
from tools.embedded_model.evaluate import background_share


def test_background_share_counts_the_border_and_nothing_else() -> None:
    pictures = np.zeros((2, 128, 128, 3), np.uint8)
    pictures[:] = COLOURS["teal"]
    pictures[:, 32:96, 32:96] = COLOURS["red"]
    assert background_share(pictures, ["teal", "teal"]) == 1
    assert background_share(pictures, ["teal", "red"]) == 0.5


def test_ranks_follow_the_logits() -> None:
    classifier = Classifier().eval()
    linear = classifier.head[1]
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.copy_(torch.arange(len(CONCEPTS), 0, -1).float())
    white = np.full((3, 128, 128, 3), 255, np.uint8)
    assert ranks(classifier, white, [0, 4, 63]).tolist() == [0, 4, 63]
