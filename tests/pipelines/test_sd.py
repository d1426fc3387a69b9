from __future__ import annotations

import copy
import logging
from dataclasses import replace

import pytest
import torch

from modules.core.errors import ModelError
from modules.pipelines.base import EncodeOptions
from modules.pipelines.preview import apply_preview, fit_preview
from modules.pipelines.sd import StableDiffusion
from modules.pipelines.spec import SPECS, PreviewFactors
from modules.sampling.conditioning import Conditioning, concatenate

CPU = torch.device("cpu")


def latent(rows: int = 1) -> torch.Tensor:
    return torch.randn((rows, 4, 8, 8), generator=torch.Generator().manual_seed(0))


def cond_of(pipeline: StableDiffusion, text: str) -> Conditioning:
    return pipeline.encode_prompts([text], EncodeOptions())[0]


def test_rows_of_a_batch_do_not_touch_each_other(tiny15: StableDiffusion) -> None:
    conds = [cond_of(tiny15, "fox"), cond_of(tiny15, "snow")]
    x, t = latent(2), torch.tensor([10.0, 700.5])
    together = tiny15.predict(x, t, concatenate(conds))
    for row, cond in enumerate(conds):
        alone = tiny15.predict(x[row : row + 1], t[row : row + 1], cond)
        # matrix products of other sizes round differently
        assert torch.allclose(together[row : row + 1], alone, atol=1e-4)


def test_answer_depends_on_fractions_of_a_timestep(tiny15: StableDiffusion) -> None:
    cond = cond_of(tiny15, "fox")
    one, other = (tiny15.predict(latent(), torch.tensor([t]), cond) for t in (500.0, 500.5))
    assert not torch.equal(one, other)


def test_results_can_be_changed_in_place(tiny15: StableDiffusion) -> None:
    x = tiny15.predict(latent(), torch.tensor([10.0]), cond_of(tiny15, "fox"))
    x += 1
    image = tiny15.decode(x)
    image *= 0.5
    assert image.max() <= 0.5


def test_encode_and_decode_keep_shape_and_range(tiny15: StableDiffusion) -> None:
    image = tiny15.decode(latent())
    assert image.shape == (1, 3, 64, 64)
    assert image.dtype == torch.float32
    assert 0 <= image.min() <= image.max() <= 1
    encoded = tiny15.encode_image(image * 2 - 1)
    assert encoded.shape == (1, 4, 8, 8)


def test_encoding_samples_only_with_a_generator(tiny15: StableDiffusion) -> None:
    image = torch.zeros(1, 3, 64, 64)
    mode = tiny15.encode_image(image)
    one = tiny15.encode_image(image, [torch.Generator().manual_seed(1)])
    both = tiny15.encode_image(image, [torch.Generator().manual_seed(seed) for seed in (1, 2)])
    assert torch.equal(tiny15.encode_image(image), mode)
    assert torch.equal(one[0], both[0])
    assert not torch.equal(both[0], both[1])
    assert not torch.equal(one, mode)


class Overflowing(torch.nn.Module):
    """A decoder's last layer that overflows in half precision only."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        big = torch.full((1,), 300.0, dtype=x.dtype)
        return x[:, :3] + (big * big * (torch.inf if x.dtype != torch.float32 else 0)).to(x)


def test_vae_that_overflows_is_tried_again_in_float32(
    tiny15: StableDiffusion, caplog: pytest.LogCaptureFixture
) -> None:
    vae = copy.deepcopy(tiny15.networks.vae).to(torch.bfloat16)
    vae.decoder.conv_out = Overflowing()
    pipeline = StableDiffusion(tiny15.spec, replace(tiny15.networks, vae=vae))
    with caplog.at_level(logging.WARNING):
        image = pipeline.decode(latent())
    assert torch.isfinite(image).all()
    assert "computes in float32 from now on" in caplog.text


def test_concat_channels_join_the_latent(tiny15: StableDiffusion) -> None:
    cond = cond_of(tiny15, "fox")
    split = replace(cond, concat=latent()[:, 2:])
    whole = tiny15.predict(latent(), torch.tensor([10.0]), cond)
    assert torch.equal(tiny15.predict(latent()[:, :2], torch.tensor([10.0]), split), whole)


FACTORS = PreviewFactors(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.5)), (0.1, 0.2, 0.3))


def test_preview_applies_the_factors() -> None:
    one = torch.tensor([0.5, 2.0, 0.2]).view(1, 3, 1, 1)
    assert torch.allclose(apply_preview(FACTORS, one).flatten(), torch.tensor([0.6, 1.0, 0.4]))


def test_fit_finds_a_linear_decoders_factors() -> None:
    def decode(z: torch.Tensor) -> torch.Tensor:
        colours = torch.stack((z[:, 0] + 0.1, z[:, 1] + 0.2, z[:, 2] * 0.5 + 0.3), dim=1)
        return torch.nn.functional.interpolate(colours, scale_factor=8.0)

    fitted = fit_preview(decode, 3, CPU)
    assert torch.allclose(torch.tensor(fitted.matrix), torch.tensor(FACTORS.matrix), atol=1e-5)
    assert torch.allclose(torch.tensor(fitted.bias), torch.tensor(FACTORS.bias), atol=1e-5)


def test_unpublished_vae_gets_a_fitted_preview(tiny15: StableDiffusion) -> None:
    assert tiny15.spec.preview is None
    preview = tiny15.preview_rgb(latent())
    assert preview.shape == (1, 3, 8, 8)
    assert 0 <= preview.min() <= preview.max() <= 1


def test_published_factors_have_a_row_per_channel() -> None:
    for spec in SPECS.values():
        assert spec.preview is not None
        assert len(spec.preview.matrix) == spec.latent_channels


def test_stand_ins_code_in_the_vaes_place_and_go_again(tiny15: StableDiffusion) -> None:
    image = torch.zeros(1, 3, 64, 64)
    own, seen = tiny15.encode_image(image), tiny15.decode(latent())
    ones, black = torch.ones(1, 4, 8, 8), torch.zeros(1, 3, 64, 64)
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    with tiny15.coding_with(lambda image: ones, lambda latent: black):
        assert tiny15.encode_image(image).equal(ones)
        assert tiny15.encode_image(image, generators).equal(ones.repeat(2, 1, 1, 1))
        assert tiny15.decode(latent()).equal(black)
        with tiny15.coding_with():
            assert tiny15.encode_image(image).equal(own)
        with pytest.raises(ModelError):
            tiny15.decode(torch.full((1, 4, 8, 8), torch.nan))
    assert tiny15.encode_image(image).equal(own)
    assert tiny15.decode(latent()).equal(seen)
