from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from modules.pipelines.base import EncodeOptions
from modules.pipelines.sd import StableDiffusion
from modules.pipelines.tiled_attention import TileOptions, _Cut, possible_cuts, tiled_attention

OPTIONS = TileOptions(size=64, max_depth=1, choices=1)


@pytest.mark.parametrize(
    ("side", "least", "choices", "cuts"),
    [(32, 8, 1, [4]), (32, 8, 3, [4, 2, 1]), (30, 8, 2, [3, 2]), (31, 8, 3, [1]), (4, 8, 3, [1])],
)
def test_cuts_are_equal_parts_of_at_least_the_size(
    side: int, least: int, choices: int, cuts: list[int]
) -> None:
    assert possible_cuts(side, least, choices) == cuts


@pytest.mark.parametrize("is_image", [False, True])
def test_cut_comes_together_again(is_image: bool) -> None:
    x = torch.randn(2, 3, 6, 8) if is_image else torch.randn(2, 48, 3)
    cut = _Cut(6, 8, 3, 2)
    tiles = cut.apart(x)
    assert tiles.shape == ((12, 3, 2, 4) if is_image else (12, 8, 3))
    assert cut.together(tiles).equal(x)


def test_tiles_are_neighbours_in_the_picture() -> None:
    places = torch.arange(48).view(1, 48, 1)
    tiles = _Cut(6, 8, 3, 2).apart(places)
    assert tiles[0, :, 0].tolist() == [0, 1, 2, 3, 8, 9, 10, 11]
    assert tiles[1, :, 0].tolist() == [4, 5, 6, 7, 12, 13, 14, 15]


@contextmanager
def seen_tokens(model: StableDiffusion) -> Iterator[list[tuple[int, int]]]:
    """(rows, tokens) that each self-attention computes with."""
    seen: list[tuple[int, int]] = []
    handles = [
        module.to_q.register_forward_hook(lambda _, args, out: seen.append(args[0].shape[:2]))
        for name, module in model.networks.unet.named_modules()
        if name.endswith("attn1")
    ]
    yield seen
    for handle in handles:
        handle.remove()


def predict(model: StableDiffusion, rows: int = 1, side: int = 16) -> torch.Tensor:
    cond = model.encode_prompts(["fox"], EncodeOptions())[0]
    x = torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(0))
    text = torch.cat([cond.crossattn] * rows)
    return model.predict(x.expand(rows, -1, -1, -1), torch.full((rows,), 400.0), type(cond)(text))


def test_levels_down_to_the_depth_are_cut(tiny15: StableDiffusion) -> None:
    with tiled_attention(OPTIONS, tiny15.networks.unet), seen_tokens(tiny15) as seen:
        predict(tiny15)
    # 16 x 16 in four tiles of 8 x 8; 8 x 8 is one tile; what lies deeper stays whole
    assert set(map(tuple, seen)) == {(4, 64), (1, 64), (1, 16), (1, 4)}


def test_prediction_changes_and_is_as_before_afterwards(tiny15: StableDiffusion) -> None:
    plain = predict(tiny15)
    with tiled_attention(OPTIONS, tiny15.networks.unet):
        cut = predict(tiny15)
        again = predict(tiny15)
        both = predict(tiny15, rows=2)
    assert predict(tiny15).equal(plain)
    assert not torch.allclose(cut, plain, atol=1e-3)
    assert again.equal(cut), "the choices begin anew with every call"
    assert torch.allclose(both[1:], cut, atol=1e-4), "nor do they depend on the batch"


def test_picture_of_one_tile_is_not_changed(tiny15: StableDiffusion) -> None:
    plain = predict(tiny15, side=8)
    with tiled_attention(OPTIONS, tiny15.networks.unet):
        assert predict(tiny15, side=8).equal(plain)


def test_autoencoder_is_cut_in_its_middle(tiny15: StableDiffusion) -> None:
    latent = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    plain = tiny15.decode(latent)
    whole = tiny15.encode_image(plain * 2 - 1)
    with tiny15.tiling_vae_attention(OPTIONS):
        cut, encoded = tiny15.decode(latent), tiny15.encode_image(plain * 2 - 1)
        assert tiny15.decode(latent).equal(cut)
    assert cut.shape == plain.shape and not cut.equal(plain)
    assert encoded.shape == whole.shape and not encoded.equal(whole)
    assert tiny15.decode(latent).equal(plain)


def test_failure_inside_leaves_no_hook_behind(tiny15: StableDiffusion) -> None:
    with pytest.raises(RuntimeError), tiled_attention(OPTIONS, tiny15.networks.unet):
        raise RuntimeError("stopped")
    for module in tiny15.networks.unet.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
