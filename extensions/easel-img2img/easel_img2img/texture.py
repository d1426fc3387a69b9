"""Noise that looks like a picture: its frequencies and its colours, without its shapes.

Asymptotic discrete spot noise (Galerne, Gousseau & Morel 2011, "Random Phase Textures", section 3):
white noise convolved with the picture; then each channel gets the picture's histogram.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float32]
Mask = NDArray[np.bool_]


def matched_noise(
    picture: Levels,
    known: Mask,
    random: np.random.Generator,
    *,
    falloff: float = 1.0,
    variation: float = 0.05,
) -> Levels:
    """(H, W, 3) in 0..1, of the kind of what is `known` (H, W) of `picture` (H, W, 3) in 0..1.

    falloff: exponent of the magnitudes; below 1 for finer detail, 0 for white noise.
    variation: 0 for the picture's own mixture of colours, 1 for channels apart.
    Raises ValueError where nothing is known.
    """
    if not known.any():
        raise ValueError("Noise cannot be matched to nothing")
    kernel = (picture - picture[known].mean(axis=0)) * window(known)[..., None]
    spectrum = np.fft.fft2(kernel, axes=(0, 1))
    magnitude = np.abs(spectrum)
    weights = np.where(magnitude > 0, magnitude, 1) ** (falloff - 1) * spectrum
    shape = (*known.shape, 1)
    white = (1 - variation) * random.standard_normal(shape)
    white = white + variation * random.standard_normal((*known.shape, 3))
    noise = np.fft.ifft2(np.fft.fft2(white, axes=(0, 1)) * weights, axes=(0, 1)).real
    channels = [with_histogram(noise[..., c], picture[known][:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def window(known: Mask) -> Levels:
    """(H, W) in 0..1: a raised cosine over the known part's box, 0 outside the part.

    The edges of the part would else count as its strongest lines.
    """
    sides = [_cosine(known.any(axis=axis)) for axis in (1, 0)]
    return np.where(known, np.outer(*sides), 0).astype(np.float32)


def with_histogram(noise: NDArray[np.float64], like: Levels) -> Levels:
    """`noise` of any shape with the values of `like` (any number of them) in the noise's order."""
    order = np.argsort(noise, axis=None, kind="stable")
    sorted_like = np.sort(like, axis=None)
    shares = (np.arange(noise.size) + 0.5) / noise.size
    places = (np.arange(sorted_like.size) + 0.5) / sorted_like.size
    values = np.empty(noise.size, dtype=np.float32)
    values[order] = np.interp(shares, places, sorted_like)
    return values.reshape(noise.shape)


def _cosine(is_inside: Mask) -> NDArray[np.float64]:
    """Along one axis: rises from the first inside to the middle and falls to the last."""
    inside = np.flatnonzero(is_inside)
    places = np.arange(is_inside.size)
    length = inside[-1] - inside[0] + 1
    wave = np.sin(np.pi * (places - inside[0] + 0.5) / length) ** 2
    return np.where((places >= inside[0]) & (places <= inside[-1]), wave, 0)
