"""The closed-form encoder is exact, whole and unit-variance."""

import numpy as np
import pytest
import torch

from tools.embedded_model.block_pca import (
    SCALING_FACTOR,
    build_vae,
    fit_block_pca,
    read_encoder,
    write_encoder,
)

# Float32 rounding through 13 layers whose norms are pinned by channels of ±512.
ENCODER_TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """(16, 32, 32, 3) uint8: smooth random fields, so that blocks have principal directions."""
    coarse = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3))
    return np.kron(coarse, np.ones((1, 4, 4, 1))).astype(np.uint8)


def test_latents_have_unit_variance_and_are_uncorrelated_on_the_fitted_images(
    images: np.ndarray,
) -> None:
    pca = fit_block_pca(images)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    flat = pca.encode(tensor).permute(1, 0, 2, 3).flatten(1)
    assert torch.allclose(torch.cov(flat, correction=0), torch.eye(4), atol=1e-3)
    assert torch.allclose(flat.mean(1), torch.zeros(4), atol=1e-4)


def test_autoencoder_encodes_exactly_what_the_pca_encodes(images: np.ndarray) -> None:
    pca = fit_block_pca(images)
    vae = build_vae()
    write_encoder(vae, pca)
    tensor = torch.from_numpy(images[:2]).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        distribution = vae.encode(tensor).latent_dist
    scaled = distribution.mode() * SCALING_FACTOR
    assert torch.allclose(scaled, pca.encode(tensor), atol=ENCODER_TOLERANCE)
    assert float(distribution.std.max()) < 1e-4


def test_pca_decodes_flat_pictures_exactly_when_they_were_fitted() -> None:
    colours = np.random.default_rng(1).integers(0, 256, (64, 1, 1, 3))
    flat = np.broadcast_to(colours, (64, 8, 8, 3)).astype(np.uint8)
    noise = np.zeros_like(flat)
    noise[::2, :4] = 9
    pca = fit_block_pca(flat + np.minimum(noise, 255 - flat))
    tensor = torch.from_numpy(flat.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert torch.allclose(pca.decode(pca.encode(tensor)), tensor, atol=0.05)


def test_encoder_is_read_back_as_it_was_written(images: np.ndarray) -> None:
    pca = fit_block_pca(images)
    vae = build_vae()
    write_encoder(vae, pca)
    found = read_encoder(vae)
    assert torch.equal(found.weight, pca.weight)
    assert torch.equal(found.bias, pca.bias)
