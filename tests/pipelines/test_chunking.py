from __future__ import annotations

import pytest
import torch

from modules.pipelines.base import EncodeOptions
from modules.pipelines.chunking import PromptChunker
from modules.prompt import load_tokenizer
from modules.prompt.chunks import SpecialTokens

START, END, FOX = 49406, 49407, 3240
TOKENIZER = load_tokenizer()
EOS_PADDED = PromptChunker(TOKENIZER, SpecialTokens())
ZERO_PADDED = PromptChunker(TOKENIZER, SpecialTokens(pad=0))


def test_one_short_text_is_one_batch_of_77() -> None:
    (batch,) = EOS_PADDED.batches(["fox"], EncodeOptions())
    assert batch.tokens.tolist() == [[START, FOX, END] + [END] * 74]
    assert torch.equal(batch.weights, torch.ones(1, 77))


def test_padding_follows_the_encoder() -> None:
    (batch,) = ZERO_PADDED.batches(["fox"], EncodeOptions())
    assert batch.tokens.tolist() == [[START, FOX, END] + [0] * 74]


def test_shorter_texts_are_filled_with_empty_chunks() -> None:
    first, second = EOS_PADDED.batches(["fox", "fox BREAK fox"], EncodeOptions())
    assert torch.equal(first.tokens[0], first.tokens[1])
    assert second.tokens[0].tolist() == [START, END] + [END] * 75
    assert second.tokens[1, 1] == FOX


def test_emphasis_makes_weights() -> None:
    (batch,) = EOS_PADDED.batches(["(fox:1.5)"], EncodeOptions())
    assert batch.weights[0, :3].tolist() == [1.0, 1.5, 1.0]


def test_emphasis_none_leaves_brackets_as_text() -> None:
    (batch,) = EOS_PADDED.batches(["(fox)"], EncodeOptions(emphasis="None"))
    assert torch.equal(batch.weights, torch.ones(1, 77))
    assert batch.tokens[0, 1] != FOX


@pytest.mark.parametrize(("backtrack", "commas_first"), [(20, 36), (0, 37)])
def test_comma_backtrack_is_taken_from_the_options(backtrack: int, commas_first: int) -> None:
    text = "fox fox " + ", fox" * 37
    first, _ = EOS_PADDED.batches([text], EncodeOptions(comma_padding_backtrack=backtrack))
    assert (first.tokens == TOKENIZER.special.comma).sum() == commas_first + (backtrack > 0)
