"""Work for several threads at once, each of which keeps torch to itself.

torch splits every larger operation among threads of its own. Where the work comes in many pieces
that need nothing of each other, one thread for each piece is faster: nobody waits for the slowest
after every operation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")


def side_by_side(
    work: Callable[[Piece], Answer], pieces: Iterable[Piece], threads: int
) -> list[Answer]:
    """`work` of each piece, in at most `threads` threads; the answers in the pieces' order.

    One thread is the caller's own. The first exception is raised, once no thread works any more.
    """
    if threads <= 1:
        return [work(piece) for piece in pieces]
    one = functools.partial(_alone, work, ThreadpoolController())
    with ThreadPoolExecutor(threads, "easel-model") as pool:
        return list(pool.map(one, pieces))


def alone(work: Callable[[], Answer]) -> Answer:
    """`work`, which torch does not split among further threads."""
    return _alone(lambda _: work(), ThreadpoolController(), None)


def _alone(
    work: Callable[[Piece], Answer], controller: ThreadpoolController, piece: Piece
) -> Answer:
    torch.get_num_threads()  # torch sets a thread's number when it first asks for it, not later
    with controller.limit(limits=1, user_api="openmp"):
        return work(piece)
