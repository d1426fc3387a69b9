"""TAESD files: their layouts, and whether they fit the model at work."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.model_manager.library import FileKind, Library
from modules.model_manager.load import load_checkpoint
from modules.model_manager.tiny_vae import LIMIT, TinyVaes
from modules.pipelines.sd import StableDiffusion
from modules.pipelines.tiny_vae import (
    decoder_error,
    sample_picture,
    tiny_decoder,
    tiny_encoder,
)

MODELS = Path(__file__).parents[2] / "models"
SHIPPED = MODELS / "VAE-approx/easel-mini-taesd.safetensors"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def mini() -> StableDiffusion:
    """The shipped model, which the shipped stand-in was made for."""
    return load_checkpoint(MODELS / "Stable-diffusion/easel-mini.safetensors", CPU, torch.float32)


@pytest.fixture(scope="module")
def tiny(tiny_models: Path) -> StableDiffusion:
    return load_checkpoint(tiny_models / "Stable-diffusion/tiny15.safetensors", CPU, torch.float32)


def weights() -> dict[str, torch.Tensor]:
    return {name.removeprefix("decoder."): w for name, w in load_file(SHIPPED).items()}


def over(folder: Path) -> TinyVaes:
    return TinyVaes(Library({FileKind.VAE_APPROX: (folder,)}))


def numbered(shift: int, source: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """By the names of TAESD's own files."""
    result = {}
    for name, weight in source.items():
        _, number, rest = name.split(".", 2)
        result[f"{int(number) + shift}.{rest}"] = weight
    return result


def test_shipped_stand_in_fits_its_model_and_no_other(
    mini: StableDiffusion, tiny: StableDiffusion
) -> None:
    found = over(SHIPPED.parent)
    decoder = found.decoder(mini, allow_pickles=False)
    assert decoder is not None
    latent = mini.encode_image(sample_picture())
    picture = mini.decode(latent)
    assert decoder(latent).shape == picture.shape
    assert (
        decoder_error(decoder, latent, picture) < LIMIT < decoder_error(decoder, -latent, picture)
    )
    assert found.decoder(mini, allow_pickles=False) is decoder, "it is measured once"
    assert found.decoder(tiny, allow_pickles=False) is None
    assert found.encoder(mini, allow_pickles=False) is None, "the file has no encoder"


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_taesds_own_names_are_read(mini: StableDiffusion, tmp_path: Path, ending: str) -> None:
    named = numbered(1, weights())
    path = tmp_path / f"taesd_decoder.{ending}"
    if ending == "pth":
        torch.save(named, path)
    else:
        save_file(named, path)
    decoder = over(tmp_path).decoder(mini, allow_pickles=False)
    latent = mini.encode_image(sample_picture())
    assert decoder is not None
    assert decoder(latent).equal(tiny_decoder(weights())(latent))


def test_closest_of_several_is_taken_and_broken_ones_are_passed_over(
    mini: StableDiffusion, tmp_path: Path
) -> None:
    off = {name: w.float() * 1.001 for name, w in load_file(SHIPPED).items()}
    save_file(off, tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"nothing")
    save_file({"decoder.layers.0.weight": torch.ones(3)}, tmp_path / "c.safetensors")
    save_file(load_file(SHIPPED), tmp_path / "d.safetensors")
    found, latent = over(tmp_path), mini.encode_image(sample_picture())
    decoder, picture = found.decoder(mini, allow_pickles=False), mini.decode(latent)
    assert decoder is not None
    errors = [
        decoder_error(tiny_decoder({k.removeprefix("decoder."): v for k, v in one.items()}), latent,
                      picture)
        for one in (off, load_file(SHIPPED))
    ]  # fmt: skip
    assert decoder_error(decoder, latent, picture) == min(errors)


def test_new_file_is_found_after_a_refresh(mini: StableDiffusion, tmp_path: Path) -> None:
    library = Library({FileKind.VAE_APPROX: (tmp_path,)})
    found = TinyVaes(library)
    assert found.decoder(mini, allow_pickles=False) is None
    save_file(load_file(SHIPPED), tmp_path / "new.safetensors")
    library.refresh(FileKind.VAE_APPROX)
    assert found.decoder(mini, allow_pickles=False) is not None


def random_encoder(width: int = 8, channels: int = 4) -> dict[str, torch.Tensor]:
    """An encoder's weights by diffusers' names."""
    from diffusers.models.autoencoders.vae import EncoderTiny

    torch.manual_seed(3)
    network = EncoderTiny(3, channels, (1, 3, 3, 3), (width,) * 4, act_fn="relu")
    return dict(network.state_dict())


def test_encoder_makes_latents_of_an_eighth() -> None:
    encoder = tiny_encoder(random_encoder())
    assert encoder(sample_picture()).shape == (1, 4, 16, 16)


def test_encoder_that_the_model_cannot_read_does_not_fit(
    mini: StableDiffusion, tmp_path: Path
) -> None:
    save_file(numbered(0, random_encoder()), tmp_path / "taesd_encoder.safetensors")
    assert over(tmp_path).encoder(mini, allow_pickles=False) is None


def test_measuring_uses_the_vae_whatever_stands_in(mini: StableDiffusion) -> None:
    black = lambda latent: torch.zeros(1, 3, 128, 128)  # noqa: E731
    with mini.coding_with(decode=black):
        assert over(SHIPPED.parent).decoder(mini, allow_pickles=False) is not None
        assert not mini.decode(torch.ones(1, 4, 16, 16)).any(), "and stands in again behind it"
