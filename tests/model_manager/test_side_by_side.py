"""Work in several threads, each with one of torch's."""

from __future__ import annotations

import threading

import pytest
import torch

from modules.model_manager.side_by_side import side_by_side


def test_answers_come_in_the_order_of_the_pieces() -> None:
    assert side_by_side(lambda n: n * n, range(50), 4) == [n * n for n in range(50)]
    assert side_by_side(lambda n: n * n, range(5), 1) == [0, 1, 4, 9, 16]
    assert side_by_side(abs, [], 3) == []


def test_pieces_meet_each_other() -> None:
    """Both wait for the other one: they'd wait for ever in a single thread."""
    both = threading.Barrier(2, timeout=30)
    side_by_side(lambda _: both.wait(), range(2), 2)


def test_torch_splits_nothing_there_and_everything_elsewhere_as_before() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert side_by_side(lambda _: torch.get_num_threads(), range(4), 2) == [1] * 4
        assert torch.get_num_threads() == 2
        later: list[int] = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert later == [2]
    finally:
        torch.set_num_threads(before)


def test_one_thread_is_the_callers() -> None:
    names = side_by_side(lambda _: threading.current_thread(), range(3), 1)
    assert set(names) == {threading.current_thread()}


def test_a_failure_reaches_the_caller_when_the_others_have_ended() -> None:
    ended: list[int] = []

    def work(number: int) -> None:
        if number == 1:
            raise ValueError(number)
        ended.append(number)

    with pytest.raises(ValueError, match="1"):
        side_by_side(work, range(3), 2)
    threads = {thread.name for thread in threading.enumerate()}
    assert not any(name.startswith("easel-model") for name in threads)
