"""Prompts over the steps, and texts of different lengths in one batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from modules.sampling.conditioning import (
    Conditioning,
    at_step,
    concatenate,
    constant,
    cut_or_pad,
    pad_with_empty,
    pad_with_last_vector,
    rows,
    stack,
)


def test_an_entry_holds_up_to_and_including_its_end_step(toys: Any) -> None:
    early, late = toys.text(0.0), toys.text(1.0)
    schedule = ((4, early), (8, late))
    used = [at_step(schedule, step) is early for step in range(10)]
    assert used == [True] * 5 + [False] * 5


def test_a_constant_prompt_holds_for_ever(toys: Any) -> None:
    cond = toys.text(0.0)
    assert at_step(constant(cond), 10**6) is cond


def test_padding_repeats_the_last_vector() -> None:
    cond = Conditioning(torch.tensor([[[1.0], [2.0]]]))
    assert pad_with_last_vector(cond, 4).crossattn.flatten().tolist() == [1, 2, 2, 2]
    assert pad_with_last_vector(cond, 1) is cond


def test_padding_with_the_empty_prompt_adds_whole_chunks() -> None:
    cond = Conditioning(torch.zeros(2, 2, 1))
    padded = pad_with_empty(cond, 6, torch.ones(1, 2, 1))
    assert padded.crossattn.shape == (2, 6, 1)
    assert padded.crossattn[:, 2:].min() == 1


@pytest.mark.parametrize(("length", "values"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 2])])
def test_cut_or_pad_gives_exactly_the_length(length: int, values: list[int]) -> None:
    cond = Conditioning(torch.tensor([[[1.0], [2.0]]]))
    assert cut_or_pad(cond, length).crossattn.flatten().tolist() == values


def test_stack_brings_texts_to_the_longest(toys: Any) -> None:
    assert stack([toys.text(0.0), toys.text(1.0, 154)]).crossattn.shape == (2, 154, 2)


def test_vector_and_concat_travel_with_their_rows() -> None:
    one = Conditioning(torch.zeros(1, 2, 1), torch.ones(1, 3), torch.zeros(1, 5, 4, 4))
    two = Conditioning(torch.ones(1, 2, 1), torch.zeros(1, 3), torch.ones(1, 5, 4, 4))
    last = rows(concatenate([one, two]), slice(1, 2))
    assert torch.equal(last.crossattn, two.crossattn)
    assert last.vector is not None and torch.equal(last.vector, torch.zeros(1, 3))
    assert last.concat is not None and torch.equal(last.concat, torch.ones(1, 5, 4, 4))
