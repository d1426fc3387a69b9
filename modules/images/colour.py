"""Colour correction: a picture gets the colours of the one that it was made from.

A1111 1.10 behaviour: histograms are matched in CIELAB, then the new picture's own luminosity is
put back. The conversions are those of IEC 61966-2-1 (sRGB) and CIE 15 (L*a*b*, D65), kept in 8
bits per channel; the blending is W3C Compositing and Blending 1, 10.2 ("luminosity").
"""

from __future__ import annotations

import numpy as np
from PIL import Image

_TO_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ],
    dtype=np.float32,
)
_WHITE = np.array([0.950456, 1.0, 1.088754], dtype=np.float32)
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_KNEE = 0.008856
"""(6 / 29)³, below which CIELAB is linear."""

_LINEAR_ONE = 255 * 8
_WEIGHT_ONE = 1 << 12
_ROOT_ONE = 1 << 15
"""What stands for 1 in whole numbers: in linear light, in weights, in cube roots."""
_LIGHT_SCALE = (116 * 255 + 50) // 100
_LIGHT_ZERO = 16 * 255
"""L* = 116 f(Y) - 16, in 255ths of 100; the second still times 100."""


def lab_of(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8: L* from 0..100 spread over 0..255, a* and b* with 128 as zero.

    In whole numbers, with OpenCV's precision: matching histograms makes more of one level.
    """
    linear = _linear_table()[np.asarray(image.convert("RGB"))]
    weights = np.rint(_TO_XYZ / _WHITE[:, None] * _WEIGHT_ONE).astype(np.int64)
    f = _root_table()[_descale(linear @ weights.T, _WEIGHT_ONE)]
    lightness = _LIGHT_SCALE * f[..., 1] - _LIGHT_ZERO * _ROOT_ONE // 100
    a = 500 * (f[..., 0] - f[..., 1]) + 128 * _ROOT_ONE
    b = 200 * (f[..., 1] - f[..., 2]) + 128 * _ROOT_ONE
    lab = _descale(np.stack((lightness, a, b), axis=-1), _ROOT_ONE)
    levels: np.ndarray = lab.clip(0, 255).astype(np.uint8)
    return levels


def correct_colours(image: Image.Image, target: np.ndarray) -> Image.Image:
    """RGB `image` with the colours of `target` (any size, as `lab_of` gives it)."""
    lab = lab_of(image)
    matched = np.stack([_match(lab[..., c], target[..., c]) for c in range(3)], axis=-1)
    coloured = _rgb_of(matched).astype(np.float32) / 255
    own = np.asarray(image.convert("RGB"), dtype=np.float32) / 255
    return Image.fromarray((_with_luminosity(coloured, own @ _LUMA) * 255).astype(np.uint8))


def _match(values: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(H, W) uint8 with the distribution of `target`, by their cumulative histograms."""
    own = np.bincount(values.ravel(), minlength=256).cumsum() / values.size
    counts = np.bincount(target.ravel(), minlength=256)
    levels = np.flatnonzero(counts)
    table = np.interp(own, counts[levels].cumsum() / target.size, levels)
    matched: np.ndarray = np.take(table.astype(np.uint8), values)
    return matched


def _rgb_of(lab: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 sRGB of what `lab_of` gives."""
    values = lab.astype(np.float32)
    lightness = values[..., 0] / 2.55
    y = np.where(lightness <= 903.3 * _KNEE, lightness / 903.3, ((lightness + 16) / 116) ** 3)
    fy = np.where(y > _KNEE, (lightness + 16) / 116, 7.787 * y + 16 / 116)
    fx = fy + (values[..., 1] - 128) / 500
    fz = fy - (values[..., 2] - 128) / 200
    knee = 7.787 * _KNEE + 16 / 116
    x, z = (np.where(f > knee, f**3, (f - 16 / 116) / 7.787) for f in (fx, fz))
    linear = (np.stack((x, y, z), axis=-1) * _WHITE) @ np.linalg.inv(_TO_XYZ).T
    linear = linear.clip(0, 1)
    rgb = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return _to_bytes(rgb * 255)


def _with_luminosity(rgb: np.ndarray, luminosity: np.ndarray) -> np.ndarray:
    """(H, W, 3) in 0..1: hue and saturation of `rgb`, brightness (H, W) as given."""
    moved = rgb + (luminosity - rgb @ _LUMA)[..., None]
    middle = (moved @ _LUMA)[..., None]
    low, high = moved.min(axis=-1, keepdims=True), moved.max(axis=-1, keepdims=True)
    tiny = np.float32(1e-6)
    up = middle + (moved - middle) * middle / np.maximum(middle - low, tiny)
    moved = np.where(low < 0, up, moved)
    down = middle + (moved - middle) * (1 - middle) / np.maximum(high - middle, tiny)
    blended: np.ndarray = np.where(high > 1, down, moved).clip(0, 1)
    return blended


def _linear_table() -> np.ndarray:
    """(256,) linear light of each level of sRGB."""
    level = np.arange(256) / 255
    linear = np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)
    table: np.ndarray = np.rint(linear * _LINEAR_ONE).astype(np.int64)
    return table


def _root_table() -> np.ndarray:
    """CIELAB's f of each value of linear light up to 1.5."""
    x = np.arange(_LINEAR_ONE * 3 // 2 + 12) / _LINEAR_ONE
    f = np.where(x < _KNEE, x * 7.787 + 16 / 116, np.cbrt(x))
    table: np.ndarray = np.rint(f * _ROOT_ONE).astype(np.int64)
    return table


def _descale(values: np.ndarray, one: int) -> np.ndarray:
    """Whole numbers divided by a power of two, rounded."""
    whole: np.ndarray = (values + one // 2) // one
    return whole


def _to_bytes(values: np.ndarray) -> np.ndarray:
    levels: np.ndarray = np.rint(values).clip(0, 255).astype(np.uint8)
    return levels
