"""Brownian paths: fixed numbers by seed, whatever is asked and in whichever order."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from modules.sampling.brownian import BrownianNoise, BrownianPath
from modules.sampling.noise import generator

SIGMAS = torch.tensor([14.6146, 5.0, 1.2, 0.3, 0.0292, 0.0])

# torchsde 0.2.6: BrownianTree(0.0292, zeros(3), 14.6146, entropy=seed)(low, high)
TORCHSDE = (
    (5, 5.0, 14.6146),
    (5, 0.3, 1.2),
    (2**40 + 7, 0.0292, 0.3),
)


def _draw(seed: int) -> Tensor:
    return generator(seed, "CPU", torch.device("cpu"))((3,))


def _path(seed: int = 5) -> BrownianPath:
    return BrownianPath(0.0292, 14.6146, seed, _draw)


@pytest.mark.parametrize(("seed", "low", "high"), TORCHSDE)
def test_increments_are_torchsdes(seed: int, low: float, high: float) -> None:
    torchsde = pytest.importorskip("torchsde")
    tree = torchsde.BrownianTree(0.0292, torch.zeros(3), 14.6146, entropy=seed)
    assert torch.equal(_path(seed).increment(low, high), tree(low, high))


def test_increments_of_parts_add_up() -> None:
    path = _path()
    whole = path.increment(0.0292, 14.6146)
    parts = path.increment(0.0292, 0.5) + path.increment(0.5, 14.6146)
    assert torch.allclose(whole, parts, atol=1e-5)


def test_increments_do_not_depend_on_what_was_asked_before() -> None:
    asked, fresh = _path(), _path()
    for low, high in ((1.0, 2.0), (0.1, 3.3), (5.0, 6.0)):
        asked.increment(low, high)
    assert torch.equal(asked.increment(0.7, 4.2), fresh.increment(0.7, 4.2))


def test_times_outside_the_interval_are_clipped() -> None:
    path = _path()
    assert torch.equal(path.increment(0.0, 1.0), path.increment(0.0292, 1.0))
    assert not path.increment(20.0, 30.0).any()


def test_noise_has_unit_variance_and_independent_steps() -> None:
    noise = BrownianNoise(torch.zeros(2, 4, 32, 32), SIGMAS, [1, 2], "CPU")
    steps = [noise(here, there) for here, there in pairwise(SIGMAS[:-1])]
    for step in steps:
        assert float(step.std()) == pytest.approx(1.0, abs=0.05)
    assert abs(float((steps[0] * steps[1]).mean())) < 0.05


def test_an_images_path_does_not_depend_on_its_batch() -> None:
    batch = BrownianNoise(torch.zeros(2, 4, 8, 8), SIGMAS, [1, 2], "NV")
    alone = BrownianNoise(torch.zeros(1, 4, 8, 8), SIGMAS, [2], "NV")
    assert torch.equal(batch(SIGMAS[0], SIGMAS[1])[1:], alone(SIGMAS[0], SIGMAS[1]))


def test_source_changes_the_path() -> None:
    shape = torch.zeros(1, 4, 8, 8)
    cpu, nv = (BrownianNoise(shape, SIGMAS, [1], source) for source in ("CPU", "NV"))
    assert not torch.equal(cpu(SIGMAS[0], SIGMAS[1]), nv(SIGMAS[0], SIGMAS[1]))


def test_going_back_in_time_changes_the_sign() -> None:
    noise = BrownianNoise(torch.zeros(1, 4, 8, 8), SIGMAS, [1], "CPU")
    there, back = noise(SIGMAS[0], SIGMAS[1]), noise(SIGMAS[1], SIGMAS[0])
    assert torch.equal(there, -back)
