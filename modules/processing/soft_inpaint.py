"""Soft inpainting: a mask's greys say how much may change, and the result decides the seam.

Differential diffusion (Levin & Fried 2023, "Differential Diffusion: Giving Each Pixel Its
Strength"): at each noise level the mask is sharpened to what may still change there. The further
numbers are those of A1111's extension of that name: two latents mix with their lengths kept, and
the finished picture is laid in where it really differs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from modules.images import ResizeMode, resize_image
from modules.images.masks import put_into
from modules.params.soft_inpaint import SoftInpaint
from modules.processing.canvas import Canvas

KERNEL_DEVIATION = 1.5
KERNEL_REACH = 2
"""In latent cells; the weight falls to nothing at the next one."""
FEATHER = 4
"""Pixels; blur of the finished mask against steps."""
_TINY = 1e-5


def paint_share(soft: SoftInpaint, paint: Tensor, sigma: float) -> Tensor:
    """What may change at a noise level, 0..1, from the mask (B, 1, h, w) in 0..1."""
    exponent = sigma**soft.mask_blend_power * soft.mask_blend_scale
    return torch.pow(paint, exponent)


def mix(soft: SoftInpaint, kept: Tensor, painted: Tensor, share: Tensor) -> Tensor:
    """Latents (B, C, h, w) mixed, `share` of `painted`; each cell's length is mixed apart.

    The directions mix linearly, the lengths by a power mean: without it, greys would be dull.
    """
    mixed = torch.lerp(kept, painted, share)
    power = soft.inpaint_detail_preservation
    lengths = [x.norm(dim=1, keepdim=True) for x in (kept, painted)]
    longest = torch.maximum(*lengths) + _TINY  # powers of what is at most 1 stay finite
    powers = [(length / longest) ** power for length in lengths]
    wanted = longest * torch.lerp(powers[0], powers[1], share) ** (1 / power)
    result: Tensor = mixed * (wanted / (mixed.norm(dim=1, keepdim=True) + _TINY))
    return result


def overlay_masks(
    soft: SoftInpaint,
    paint: Tensor,
    before: Tensor,
    after: Tensor,
    canvases: Sequence[Canvas],
    size: tuple[int, int],
) -> list[Image.Image]:
    """L masks, one per picture: white where the result differs from what was there.

    paint: (B, 1, h, w) in 0..1; before, after: latents (B, C, h, w); size: of a result in pixels.
    The masks have the size of the finished pictures.
    """
    threshold = _thresholds(soft, paint[:, 0]).cpu().numpy()
    distances = (after - before).norm(dim=1).float().cpu().numpy()
    masks = []
    for canvas, distance, limit in zip(canvases, distances, threshold, strict=True):
        for low, high in ((0.9, 1.0), (0.25, 0.75)):
            distance = _percentile_mean(distance, low, high)
        with np.errstate(divide="ignore"):
            share = 1 / (1 + (distance / limit) ** soft.composite_difference_contrast)
        share = share**3 * (share * (share * 6 - 15) + 10)
        mask = Image.fromarray((255 * (1 - share)).astype(np.uint8))
        mask = resize_image(mask, *size, ResizeMode.FILL)
        mask = mask.filter(ImageFilter.GaussianBlur(FEATHER))
        masks.append(_placed(mask, canvas))
    return masks


def _thresholds(soft: SoftInpaint, paint: Tensor) -> Tensor:
    """(B, h, w) distances at which half of the new picture is taken."""
    influence = soft.composite_mask_influence
    marked = 1 - paint.float().clamp(0, 1) ** (soft.mask_blend_scale / 2)
    scale = 0.5 * (1 - influence) + marked * influence
    return soft.composite_difference_threshold * scale / (1 + _TINY - scale)


def _placed(mask: Image.Image, canvas: Canvas) -> Image.Image:
    if canvas.place is None or canvas.overlay is None:
        return mask
    return (
        put_into(mask.convert("RGB"), canvas.place, canvas.overlay.size).convert("RGB").convert("L")
    )


def _percentile_mean(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """(H, W): at each cell the mean of its neighbourhood's values between two percentiles.

    Neighbours weigh by distance; the range is at least one cell's weight wide.
    """
    padded = np.pad(values.astype(np.float64), KERNEL_REACH, constant_values=np.nan)
    size = 2 * KERNEL_REACH + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    stack = windows.reshape(*values.shape, size * size).transpose(2, 0, 1)
    weight = np.where(np.isnan(stack), 0.0, _kernel().reshape(-1, 1, 1))
    order = np.argsort(stack, axis=0)  # cells outside come last, with weight 0
    stack = np.nan_to_num(np.take_along_axis(stack, order, axis=0))
    weight = np.take_along_axis(weight, order, axis=0)
    ends = weight.cumsum(axis=0)
    start, end = _range(ends[-1], low, high)
    overlap = (np.minimum(ends, end) - np.maximum(ends - weight, start)).clip(min=0)
    return np.asarray((stack * overlap).sum(axis=0) / overlap.sum(axis=0))


def _kernel() -> np.ndarray:
    """(5, 5) weights of a neighbourhood: a Gaussian lowered until it ends beside its reach."""
    offsets = np.arange(-KERNEL_REACH, KERNEL_REACH + 1)
    squares = offsets[:, None] ** 2 + offsets**2
    end = np.exp(-((KERNEL_REACH + 1) ** 2) / KERNEL_DEVIATION**2)
    weights = (np.exp(-squares / KERNEL_DEVIATION**2) - end) / (1 - end)
    return np.asarray(weights.clip(min=0))


def _range(total: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """The part low..high of 0..total, widened to 1 about its middle and moved inside."""
    start, end = total * low, total * high
    middle, narrow = (start + end) / 2, end - start < 1
    start, end = np.where(narrow, middle - 0.5, start), np.where(narrow, middle + 0.5, end)
    over = (end - total).clip(min=0)
    start, end = start - over, end - over
    under = (-start).clip(min=0)
    return start + under, end + under
