"""Soft inpainting: how a mask acts at a noise level, and where the seam lies afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from modules.images.masks import Box
from modules.params.soft_inpaint import SoftInpaint
from modules.processing.canvas import Canvas
from modules.processing.soft_inpaint import mix, overlay_masks, paint_share

SOFT = SoftInpaint(enabled=True)


def latents(seed: int) -> torch.Tensor:
    return torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(seed))


def test_black_is_kept_and_white_changes_at_every_level() -> None:
    paint = torch.tensor([0.0, 1.0])
    for sigma in (14.0, 1.0, 0.03):
        assert paint_share(SOFT, paint, sigma).tolist() == [0.0, 1.0]


def test_grey_is_held_while_the_noise_is_strong() -> None:
    shares = [float(paint_share(SOFT, torch.tensor(0.5), sigma)) for sigma in (14, 2, 0.1)]
    assert shares == sorted(shares)
    assert shares[0] < 0.01
    assert shares[2] > 0.95


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_mixing_all_of_one_gives_that_one(share: float) -> None:
    kept, painted = latents(0), latents(1)
    mixed = mix(SOFT, kept, painted, torch.full((1, 1, 8, 8), share))
    torch.testing.assert_close(mixed, painted if share else kept, atol=1e-3, rtol=1e-3)


def test_mixed_lengths_are_the_power_mean_of_both() -> None:
    kept, painted = latents(0), latents(1)
    mixed = mix(SOFT, kept, painted, torch.full((1, 1, 8, 8), 0.25))
    power = SOFT.inpaint_detail_preservation
    lengths = (x.norm(dim=1) ** power for x in (kept, painted))
    wanted = (0.75 * next(lengths) + 0.25 * next(lengths)) ** (1 / power)
    torch.testing.assert_close(mixed.norm(dim=1), wanted, atol=1e-3, rtol=1e-3)


def test_seam_lies_where_the_latent_changed() -> None:
    before, after = torch.zeros((1, 4, 8, 8)), torch.zeros((1, 4, 8, 8))
    after[:, :, :, 4:] = 3
    paint = torch.ones((1, 1, 8, 8))
    canvas = Canvas(Image.new("RGB", (64, 64)))
    (mask,) = overlay_masks(SOFT, paint, before, after, [canvas], (64, 64))
    levels = np.asarray(mask)
    assert mask.size == (64, 64)
    assert levels[:, :8].max() < 20
    assert levels[:, 56:].min() > 235


def test_mask_goes_to_its_place_in_the_whole_picture() -> None:
    overlay = Image.new("RGBA", (100, 80))
    canvas = Canvas(Image.new("RGB", (64, 64)), overlay=overlay, place=Box(10, 20, 42, 52))
    after = torch.full((1, 4, 8, 8), 9.0)
    (mask,) = overlay_masks(
        SOFT, torch.ones((1, 1, 8, 8)), torch.zeros_like(after), after, [canvas], (64, 64)
    )
    assert mask.size == (100, 80)
    assert mask.getbbox() == (10, 20, 42, 52)
