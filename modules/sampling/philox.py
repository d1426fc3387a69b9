"""The normal numbers that torch draws on CUDA, made with numpy on any machine.

Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") with the
counter layout of torch's CUDA generator, then Box-Muller as in cuRAND.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

ROUNDS = 10
MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], dtype=np.uint64)
KEY_INCREMENTS = np.array([0x9E3779B9, 0xBB67AE85], dtype=np.uint32)
LOW_WORD = np.uint64(0xFFFFFFFF)
WORD_BITS = np.uint64(32)
UNIT_PER_WORD = np.float32(2.3283064e-10)
RADIANS_PER_WORD = np.float32(2.3283064e-10 * 6.2831855)


class PhiloxGenerator:
    """A stream of normal numbers; each draw advances the stream by one, whatever its size."""

    def __init__(self, seed: int) -> None:
        """seed: taken modulo 2**64, as torch does for CUDA."""
        self.seed = seed & 0xFFFFFFFFFFFFFFFF
        self.offset = 0

    def randn(self, shape: Sequence[int]) -> npt.NDArray[np.float32]:
        """Standard normal float32 array of `shape`.

        >>> [round(float(value), 4) for value in PhiloxGenerator(0).randn((3,))]
        [-0.9247, -0.4253, -2.6438]
        """
        count = int(np.prod(shape))
        counter = np.zeros((4, count), dtype=np.uint32)
        counter[0] = self.offset
        counter[2] = np.arange(count, dtype=np.uint32)
        self.offset += 1
        words = _philox(counter, _words_of(self.seed))
        return _box_muller(words[0], words[1]).reshape(tuple(shape))


def _words_of(seed: int) -> Words:
    return np.array([seed & 0xFFFFFFFF, seed >> 32], dtype=np.uint32)


def _philox(counter: Words, key: Words) -> Words:
    """Ten rounds over (4, n) counter words with a (2,) key; (4, n) random words."""
    with np.errstate(over="ignore"):
        for _ in range(ROUNDS):
            first = counter[0].astype(np.uint64) * MULTIPLIERS[0]
            second = counter[2].astype(np.uint64) * MULTIPLIERS[1]
            counter = np.stack(
                [
                    (second >> WORD_BITS).astype(np.uint32) ^ counter[1] ^ key[0],
                    (second & LOW_WORD).astype(np.uint32),
                    (first >> WORD_BITS).astype(np.uint32) ^ counter[3] ^ key[1],
                    (first & LOW_WORD).astype(np.uint32),
                ]
            )
            key = key + KEY_INCREMENTS
    return counter


def _box_muller(x: Words, y: Words) -> npt.NDArray[np.float32]:
    """Two uniform words to one normal number; computed in float64, then rounded."""
    u = x.astype(np.float64) * UNIT_PER_WORD + UNIT_PER_WORD / np.float32(2)
    v = y.astype(np.float64) * RADIANS_PER_WORD + RADIANS_PER_WORD / np.float32(2)
    normal: npt.NDArray[np.float64] = np.sqrt(-2.0 * np.log(u)) * np.sin(v)
    return normal.astype(np.float32)
