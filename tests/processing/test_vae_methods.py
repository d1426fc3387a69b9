"""TAESD in the VAE's place: settings, infotexts, previews, and what happens where nothing fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.vae import DecoderTiny, EncoderTiny
from PIL import Image

from modules.model_manager.library import Library
from modules.model_manager.tiny_vae import TinyVaes
from modules.pipelines.tiny_vae import TinyDecoder, TinyEncoder
from modules.processing.report import SilentReport
from modules.processing.run import run_request

DECODE, ENCODE = {"sd_vae_decode_method": "TAESD"}, {"sd_vae_encode_method": "TAESD"}
HIRES = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.5}


class AnyFits(TinyVaes):
    """Stand-ins with random weights, for any model."""

    def __init__(self) -> None:
        super().__init__(Library({}))
        torch.manual_seed(1)
        wide = (8,) * 4
        self.one = DecoderTiny(4, 3, (3, 3, 3, 1), wide, 2, act_fn="relu", upsample_fn="nearest")
        self.other = EncoderTiny(3, 4, (1, 3, 3, 3), wide, act_fn="relu")

    def decoder(self, pipeline: Any, *, allow_pickles: bool) -> TinyDecoder:
        return TinyDecoder(self.one)

    def encoder(self, pipeline: Any, *, allow_pickles: bool) -> TinyEncoder:
        return TinyEncoder(self.other)


@pytest.fixture
def fitting(studio: Any) -> Any:
    """The studio with stand-ins that fit; the manager has its own again afterwards."""
    models = studio.services.models
    before, models.tiny_vaes = models.tiny_vaes, AnyFits()
    yield studio
    models.tiny_vaes = before


def test_decoder_changes_the_picture_and_the_infotext_says_so(fitting: Any) -> None:
    full, tiny = fitting.make(), fitting.make(DECODE)
    assert "VAE Decoder" not in full.infotexts[0]
    assert "VAE Decoder: TAESD" in tiny.infotexts[0]
    assert "VAE Encoder" not in tiny.infotexts[0]
    assert full.images[0].tobytes() != tiny.images[0].tobytes()
    assert fitting.make().images[0].tobytes() == full.images[0].tobytes(), "the VAE is back"


def test_batch_is_decoded_like_its_pictures(fitting: Any) -> None:
    pair = fitting.make(DECODE, batch_size=2)
    alone = fitting.make(DECODE, seed=8)
    assert np.abs(np.asarray(pair.images[1]).astype(int) - np.asarray(alone.images[0])).max() <= 1


def test_encoder_is_named_where_a_picture_was_encoded(fitting: Any) -> None:
    plain = fitting.make(ENCODE)
    assert "VAE Encoder" not in plain.infotexts[0], "txt2img encodes nothing"
    latent = fitting.make(ENCODE, **HIRES, hr_upscaler="Latent")
    assert "VAE Encoder" not in latent.infotexts[0]
    pixels = fitting.make(ENCODE, **HIRES, hr_upscaler="Lanczos")
    assert "VAE Encoder: TAESD" in pixels.infotexts[0]
    full = fitting.make(**HIRES, hr_upscaler="Lanczos")
    assert pixels.images[0].tobytes() != full.images[0].tobytes()


def test_stand_in_tiles_too(fitting: Any) -> None:
    one = fitting.pixels(DECODE, tiling=True)
    decoder = fitting.services.models.tiny_vaes.one
    assert not np.array_equal(one, fitting.pixels(DECODE))
    layers = [layer for layer in decoder.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert {layer.padding_mode for layer in layers} == {"zeros"}, "and is as it was afterwards"


@pytest.mark.parametrize(("changes", "name"), [(DECODE, "VAE Decoder"), (ENCODE, "VAE Encoder")])
def test_where_nothing_fits_the_vae_is_used_and_a_warning_says_so(
    studio: Any, changes: dict[str, Any], name: str
) -> None:
    values = HIRES | {"hr_upscaler": "Lanczos"}
    full, result = studio.make(**values), studio.make(changes, **values)
    assert result.images[0].tobytes() == full.images[0].tobytes()
    assert result.infotexts == full.infotexts
    assert [f"{name} TAESD: no file" in text for text in result.warnings] == [True]


class Previews(SilentReport):
    """Keeps the size and the pixels of every preview."""

    def __init__(self) -> None:
        self.seen: list[Image.Image] = []

    def step(self, step: int, preview: Any = None) -> None:
        self.seen.append(preview())


@pytest.mark.parametrize(
    ("kind", "is_sharp"),
    [("Approx cheap", False), ("Approx NN", False), ("TAESD", True), ("Full", True)],
)
def test_previews_are_drawn_as_asked(fitting: Any, kind: str, is_sharp: bool) -> None:
    def previews(changes: dict[str, Any]) -> list[Image.Image]:
        report = Previews()
        run_request(fitting.ask(changes), fitting.services, report)
        return report.seen

    seen, cheap = previews({"show_progress_type": kind}), previews({})
    assert {image.size for image in seen} == {(64, 64)}
    assert (seen[-1].tobytes() != cheap[-1].tobytes()) == is_sharp


def test_full_preview_of_the_last_step_is_nearly_the_picture(studio: Any) -> None:
    report = Previews()
    result = run_request(studio.ask({"show_progress_type": "Full"}), studio.services, report)
    last, made = (np.asarray(image).astype(int) for image in (report.seen[-1], result.images[0]))
    assert np.abs(last - made).mean() < 2
