"""Noise equals A1111's by seed, and an image's noise does not depend on its batch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from modules.sampling.noise import ImageNoise, NoiseRequest, generator, paste_centred, slerp
from modules.sampling.philox import PhiloxGenerator

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/noise.json").read_text())
SLERP_TOLERANCE = 1e-6
"""torch's sine and square root differ in the last bit between versions."""


def _request(case: dict) -> NoiseRequest:
    resize = (case.get("seed_resize_from_h", 0) // 8, case.get("seed_resize_from_w", 0) // 8)
    return NoiseRequest(
        shape=tuple(case["shape"]),
        seeds=tuple(case["seeds"]),
        subseeds=tuple(case.get("subseeds", ())),
        subseed_strength=case.get("subseed_strength", 0.0),
        resize_from=resize if min(resize) > 0 else None,
        seed_delta=case["eta_noise_seed_delta"],
        source=case["randn_source"],
    )


def _sha256(noise: Tensor) -> str:
    return hashlib.sha256(noise.numpy().astype("<f4").tobytes()).hexdigest()


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_first_and_second_noise_are_a1111s(case: dict) -> None:
    noise = ImageNoise(_request(case))
    first, second = noise.next(), noise.next()
    if 0 < case.get("subseed_strength", 0) < 1:
        golden, values = case["first"], first.flatten()
        ends = [*values[:8].tolist(), *values[-4:].tolist()]
        assert ends == pytest.approx([*golden["first8"], *golden["last4"]], abs=SLERP_TOLERANCE)
        assert float(values.mean()) == pytest.approx(golden["mean"], abs=SLERP_TOLERANCE)
        assert float(values.std(correction=0)) == pytest.approx(golden["std"], abs=SLERP_TOLERANCE)
    else:
        assert _sha256(first) == case["first"]["sha256_f32le"]
    assert _sha256(second) == case["second"]["sha256_f32le"]


def test_philox_draws_are_cudas() -> None:
    golden = GOLDEN["philox_doc"]
    stream = PhiloxGenerator(golden["seed"])
    for key in ("expected", "second_call"):
        draws = stream.randn(golden["shape"])
        assert draws.dtype == np.float32
        assert np.array_equal(draws, np.array(golden[key], np.float32))


def test_philox_seed_uses_all_64_bits() -> None:
    low, high = PhiloxGenerator(5).randn((8,)), PhiloxGenerator(5 + 2**40).randn((8,))
    assert not np.array_equal(low, high)
    assert np.array_equal(low, PhiloxGenerator(5 + 2**64).randn((8,)))


@pytest.mark.parametrize("source", ["CPU", "NV", "GPU"])
def test_an_image_is_the_same_alone_and_in_a_batch(source: str) -> None:
    batch = ImageNoise(NoiseRequest((4, 8, 8), (1, 2, 3), source=source))
    alone = ImageNoise(NoiseRequest((4, 8, 8), (2,), source=source))
    for _ in range(3):
        assert torch.equal(batch.next()[1], alone.next()[0])


def test_gpu_source_without_a_gpu_is_the_cpu_generator() -> None:
    device = torch.device("cpu")
    assert torch.equal(generator(7, "GPU", device)((5,)), generator(7, "CPU", device)((5,)))


def test_seed_delta_restarts_the_generators_after_the_first_noise() -> None:
    shifted = ImageNoise(NoiseRequest((4, 8, 8), (1,), seed_delta=100))
    plain = ImageNoise(NoiseRequest((4, 8, 8), (1,)))
    other = ImageNoise(NoiseRequest((4, 8, 8), (101,)))
    assert torch.equal(shifted.next(), plain.next())
    assert torch.equal(shifted.next(), other.next())


def test_full_subseed_strength_gives_the_subseeds_noise() -> None:
    mixed = ImageNoise(NoiseRequest((4, 8, 8), (1,), (2,), 1.0)).next()
    assert torch.allclose(mixed, ImageNoise(NoiseRequest((4, 8, 8), (2,))).next(), atol=1e-6)


def test_subseeds_without_strength_change_nothing() -> None:
    mixed = ImageNoise(NoiseRequest((4, 8, 8), (1,), (2,), 0.0)).next()
    assert torch.equal(mixed, ImageNoise(NoiseRequest((4, 8, 8), (1,))).next())


def test_slerp_of_equal_noises_is_that_noise() -> None:
    noise = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(slerp(0.3, noise, noise.clone()), noise)


@pytest.mark.parametrize("size", [(3, 3), (9, 9), (3, 9), (9, 3), (5, 5)])
def test_paste_centred_keeps_the_middle(size: tuple[int, int]) -> None:
    canvas = torch.zeros(1, 5, 5)
    patch = torch.arange(size[0] * size[1], dtype=torch.float32).view(1, *size) + 1
    result = paste_centred(canvas, patch)
    assert result[0, 2, 2] == patch[0, size[0] // 2, size[1] // 2]
    assert int((result > 0).sum()) == min(5, size[0]) * min(5, size[1])
    assert not canvas.any()
