from __future__ import annotations

from typing import Any

import pytest
import torch

from modules.pipelines.base import EncodeOptions
from modules.pipelines.sd import StableDiffusion
from modules.pipelines.tiling import circular_convolutions


def modes(pipeline: StableDiffusion) -> list[str]:
    parts = (pipeline.networks.unet, pipeline.networks.vae)
    return [
        layer.padding_mode
        for part in parts
        for layer in part.modules()
        if isinstance(layer, torch.nn.Conv2d)
    ]


def test_convolution_sees_the_opposite_edge() -> None:
    layer = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False)
    torch.nn.init.ones_(layer.weight)
    x = torch.zeros(1, 1, 4, 4)
    x[..., 0, 0] = 1
    with circular_convolutions(layer):
        assert layer(x)[0, 0, 3, 3] == 1
    assert layer(x)[0, 0, 3, 3] == 0


def test_rolled_latent_gives_the_rolled_picture(tiny15: StableDiffusion) -> None:
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    rolled = latent.roll((2, 3), (2, 3))
    with tiny15.tiled():
        one, two = tiny15.decode(latent), tiny15.decode(rolled)
    assert torch.allclose(one.roll((16, 24), (2, 3)), two, atol=1e-4)
    plain = (tiny15.decode(latent).roll((16, 24), (2, 3)) - tiny15.decode(rolled)).abs().max()
    assert plain > 0.05


def test_rolled_noise_gives_the_rolled_prediction(tiny15: StableDiffusion) -> None:
    cond = tiny15.encode_prompts(["fox"], EncodeOptions())[0]
    x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    t = torch.tensor([500.0])
    with tiny15.tiled():  # whole multiples of the deepest level's 8 cells
        one, two = tiny15.predict(x, t, cond), tiny15.predict(x.roll(8, 3), t, cond)
    assert torch.allclose(one.roll(8, 3), two, atol=1e-3)


@pytest.mark.parametrize("fails", [False, True])
def test_layers_come_back_as_they_were(fails: bool, tiny15: StableDiffusion) -> None:
    before = modes(tiny15)
    assert set(before) == {"zeros"}
    try:
        with tiny15.tiled(), tiny15.tiled():
            assert set(modes(tiny15)) == {"circular"}
            if fails:
                raise RuntimeError("stopped")
    except RuntimeError:
        assert fails
    assert modes(tiny15) == before


def test_mode_of_a_layer_that_was_circular_stays() -> None:
    layer: Any = torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")
    with circular_convolutions(layer):
        pass
    assert layer.padding_mode == "circular"
