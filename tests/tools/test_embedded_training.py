"""The noise process, the mixed-precision optimiser and the picture pack."""

from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMScheduler
from torch import nn

from tools.embedded_model.data import Picture, read_pack, write_pack
from tools.embedded_model.diffusion import (
    NOISY_FROM,
    SCHEDULE,
    alphas_cumprod,
    draw_timesteps,
    loss_weight,
    sample,
)
from tools.embedded_model.grid import tile
from tools.embedded_model.mixed import MixedTraining, Plan


def test_schedule_is_that_of_diffusers_scaled_linear() -> None:
    assert torch.allclose(alphas_cumprod(), DDPMScheduler(**SCHEDULE).alphas_cumprod, atol=1e-6)


def test_loss_weight_is_min_snr_with_a_bounded_boost() -> None:
    # snr 100 → 5/100 · 1.01; snr 1 → 1 · 2; snr 0.001 → 1 · 100.
    snr = torch.tensor([100.0, 1.0, 0.001])
    weights = loss_weight(snr / (1 + snr))
    assert torch.allclose(weights, torch.tensor([0.0505, 2.0, 100.0]), rtol=1e-3)


def test_second_half_of_the_timesteps_leans_to_the_noisy_end() -> None:
    steps = draw_timesteps(4000, torch.Generator().manual_seed(0))
    assert steps.shape == (8000,)
    noisy = (steps >= NOISY_FROM).float()
    assert abs(float(noisy[:4000].mean()) - 0.55) < 0.03
    assert abs(float(noisy[4000:].mean()) - (0.6 + 0.4 * 0.55)) < 0.03


def test_sampling_with_a_perfect_predictor_finds_the_one_known_latent() -> None:
    target = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    alphas = alphas_cumprod()

    def predict(x: torch.Tensor, t: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        alpha = alphas[t.long()][:, None, None, None]
        return (x - alpha.sqrt() * target) / (1 - alpha).sqrt()

    noise = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(2))
    cond, uncond = torch.zeros(2, 77, 8), torch.zeros(1, 77, 8)
    found = sample(predict, cond, uncond, noise=noise)
    assert torch.allclose(found, target.expand(2, -1, -1, -1), atol=1e-3)


def test_training_resumes_where_it_stopped() -> None:
    plan = Plan(minutes=1, batch=1, rate=0.01)
    whole, halves = _trained(plan, 6), _trained(plan, 3)
    module = nn.Linear(40, 40)
    resumed = MixedTraining(module, plan, torch.device("cpu"))
    resumed.resume(halves.state())
    _advance(module, resumed, range(3, 6))
    assert resumed.steps == 6
    for first, second in zip(whole.masters, resumed.masters):
        assert torch.allclose(first, second, atol=1e-6)


def test_a_new_plan_begins_from_given_weights() -> None:
    plan = Plan(minutes=1, batch=1, rate=0.01)
    module = nn.Linear(40, 40)
    training = MixedTraining(module, plan, torch.device("cpu"))
    given = {name: torch.full_like(p, 0.5) for name, p in nn.Linear(40, 40).named_parameters()}
    training.begin_from(given)
    assert (training.steps, training.seconds) == (0, 0.0)
    for weights in (training.masters, training.averages, list(module.parameters())):
        assert all(torch.equal(w.float(), torch.full_like(w.float(), 0.5)) for w in weights)


def test_averaged_weights_are_lent_and_taken_back() -> None:
    module = nn.Linear(40, 40)
    training = MixedTraining(module, Plan(minutes=1, batch=1, rate=0.1), torch.device("cpu"))
    _advance(module, training, range(4))
    before = module.weight.detach().clone()
    with training.averaged():
        assert not torch.equal(module.weight, before)
    assert torch.equal(module.weight, before)


def test_pack_returns_the_pictures_it_was_given(tmp_path: Path) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (128, 128, 4), np.uint8)
    rgba[..., 3] = 255
    picture = Picture("1f431", "cat face", "noto", rgba)
    assert write_pack(iter([picture, picture]), tmp_path / "pack.npz") == 2
    back = read_pack(tmp_path / "pack.npz")
    assert [p.label for p in back] == ["cat face", "cat face"]
    assert np.array_equal(back[1].rgba, rgba)


def test_tile_fills_the_last_row_with_white() -> None:
    sheet = tile(np.zeros((3, 2, 2, 3), np.uint8), columns=2)
    assert sheet.shape == (4, 4, 3)
    assert sheet[2:, 2:].min() == 255
    assert sheet[:2].max() == 0


def _trained(plan: Plan, steps: int) -> MixedTraining:
    module = nn.Linear(40, 40)
    training = MixedTraining(module, plan, torch.device("cpu"))
    start = nn.Linear(40, 40)
    nn.init.ones_(start.weight)
    nn.init.zeros_(start.bias)
    for master, average, weight in zip(training.masters, training.averages, start.parameters()):
        master.copy_(weight.detach())
        average.copy_(weight.detach())
    training.resume(training.state())
    _advance(module, training, range(steps))
    return training


def _advance(module: nn.Module, training: MixedTraining, steps: range) -> None:
    for step in steps:
        inputs = torch.full((1, 40), 1.0 + step, dtype=torch.bfloat16)
        module(inputs).square().sum().backward()
        training.update()
