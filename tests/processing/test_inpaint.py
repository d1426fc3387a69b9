"""The masked latent: what is put back at each step and at the end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from modules.core.hooks import Hooks
from modules.params import Img2ImgParams
from modules.params.soft_inpaint import SoftInpaint
from modules.processing.canvas import Canvas
from modules.processing.inpaint import Inpainting, latent_masks, refill

PAINT = torch.zeros((1, 1, 4, 4))
PAINT[..., 2:] = 1
INIT, NOISE, X = (
    torch.randn((1, 4, 4, 4), generator=torch.Generator().manual_seed(seed)) for seed in range(3)
)


def stage() -> Any:
    """As much of a job as blending asks for."""
    alphas = torch.linspace(0.999, 0.005, 1000)
    return SimpleNamespace(hooks=Hooks(), pipeline=SimpleNamespace(alphas_cumprod=alphas))


def canvas(mask: Image.Image | None) -> Canvas:
    return Canvas(Image.new("RGB", (32, 32)), mask=mask, latent_mask=mask)


@pytest.mark.parametrize("sampler", ["Euler", "DPM++ 2M", "LCM"])
def test_prediction_gets_the_picture_back(sampler: str) -> None:
    blend = Inpainting(INIT, PAINT, NOISE).blender(stage(), sampler)
    blended = blend(X, torch.tensor([3.0]), None)
    assert torch.equal(blended[..., 2:], X[..., 2:])
    assert torch.equal(blended[..., :2], INIT[..., :2])


@pytest.mark.parametrize("sampler", ["DDIM", "PLMS", "UniPC"])
def test_noised_latent_gets_the_picture_back_with_the_noise_of_the_step(sampler: str) -> None:
    job = stage()
    blended = Inpainting(INIT, PAINT, NOISE).blender(job, sampler)(X, torch.tensor([600.0]), None)
    alpha = job.pipeline.alphas_cumprod[600]
    wanted = INIT * alpha.sqrt() + NOISE * (1 - alpha).sqrt()
    assert torch.equal(blended[..., 2:], X[..., 2:])
    torch.testing.assert_close(blended[..., :2], wanted[..., :2])


def test_end_puts_the_picture_back_but_for_soft_inpainting() -> None:
    hard = Inpainting(INIT, PAINT, NOISE).finished(stage(), X)
    assert torch.equal(hard[..., :2], INIT[..., :2])
    soft = Inpainting(INIT, PAINT, NOISE, SoftInpaint(enabled=True)).finished(stage(), X)
    assert torch.equal(soft, X)


def test_mask_is_rounded_where_asked() -> None:
    grey = canvas(Image.new("L", (32, 32), 100))
    like = torch.zeros((1, 4, 4, 4))
    rounded = latent_masks(Img2ImgParams(), [grey], like)
    exact = latent_masks(Img2ImgParams(mask_round=False), [grey], like)
    assert rounded is not None
    assert exact is not None
    assert rounded.unique().tolist() == [0.0]
    assert exact.unique().tolist() == pytest.approx([100 / 255])


def test_each_picture_of_a_batch_has_its_own_mask() -> None:
    like = torch.zeros((2, 4, 4, 4))
    masks = latent_masks(Img2ImgParams(), [canvas(Image.new("L", (32, 32))), canvas(None)], like)
    assert masks is not None
    assert masks[0].max() == 0
    assert masks[1].min() == 1, "a picture without a mask changes as a whole"
    assert latent_masks(Img2ImgParams(), [canvas(None)] * 2, like) is None


@pytest.mark.parametrize(("fill", "inside"), [(0, INIT), (1, INIT), (2, NOISE), (3, INIT * 0)])
def test_refill_changes_the_marked_part_alone(fill: int, inside: torch.Tensor) -> None:
    filled = refill(Img2ImgParams(inpainting_fill=fill), INIT, PAINT, NOISE)
    assert torch.equal(filled[..., 2:], inside[..., 2:])
    assert torch.equal(filled[..., :2], INIT[..., :2])
