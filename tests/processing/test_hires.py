"""The second pass: from a picture of the caller's, by old parameters, with pixel upscalers."""

from __future__ import annotations

import base64
import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.core.errors import BadInput, UnsupportedImage
from modules.images import read
from modules.processing.report import SilentReport
from modules.processing.run import run_request

HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.6}


def as_base64(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("upscaler", ["None", "Lanczos", "Nearest"])
def test_own_first_pass_gives_the_second_passes_picture(upscaler: str, studio: Any) -> None:
    values = HIRES | {"hr_upscaler": upscaler}
    first = as_base64(studio.make().images[0])
    whole, second = studio.make(**values), studio.make(**values, firstpass_image=first)
    assert second.images[0].tobytes() == whole.images[0].tobytes()
    assert second.infotexts == whole.infotexts


def test_own_first_pass_is_encoded_for_latent_upscalers(studio: Any, levels: Any) -> None:
    first = "data:image/png;base64," + as_base64(studio.make().images[0])
    calls: list[int] = []
    studio.services.hooks.add("cfg_denoiser", lambda event: calls.append(event.step), "test")
    result = studio.make(**HIRES, firstpass_image=first, batch_size=2)
    assert [image.size for image in result.images] == [(96, 96)] * 2
    assert calls == [0, 1, 2, 3], "the first pass is not sampled"
    whole = studio.pixels(**HIRES)
    got = np.asarray(result.images[0]).astype(int)
    # the way through 8 bits and the autoencoder changes a little, another picture a lot
    assert np.abs(got - whole).mean() < np.abs(got - studio.pixels(**HIRES, seed=99)).mean()


def test_own_first_pass_without_hires_fix_is_not_used(studio: Any) -> None:
    first = as_base64(Image.new("RGB", (64, 64), "red"))
    plain, result = studio.make(), studio.make(firstpass_image=first)
    assert result.images[0].tobytes() == plain.images[0].tobytes()


@pytest.mark.parametrize("text", ["no picture", "", "aGVsbG8="])
def test_first_pass_that_is_no_picture_is_refused_by_name(text: str, studio: Any) -> None:
    if not text:
        assert studio.ask(**HIRES, firstpass_image=text).params.firstpass_image == ""
        return
    with pytest.raises(UnsupportedImage, match="firstpass_image"):
        studio.ask(**HIRES, firstpass_image=text)


def test_first_phase_size_is_that_of_the_first_pass(studio: Any) -> None:
    old = HIRES | {"width": 96, "height": 96, "firstphase_width": 64, "firstphase_height": 64}
    now, then = studio.make(**HIRES), studio.make(**old)
    assert then.images[0].tobytes() == now.images[0].tobytes()
    assert then.infotexts == now.infotexts
    assert studio.ask(firstphase_width=64, firstphase_height=72).params.height == 64


def test_first_phase_size_is_held_to_the_bounds_of_a_picture(studio: Any) -> None:
    with pytest.raises(BadInput, match="width: 3"):
        studio.ask(**HIRES, firstphase_width=3, firstphase_height=64)


@pytest.mark.parametrize(
    ("size", "first"),
    [((1024, 1024), (512, 512)), ((1024, 512), (768, 384)), ((64, 64), (512,) * 2)],
)
def test_old_sizes_are_those_of_the_result(
    size: tuple[int, int], first: tuple[int, ...], studio: Any
) -> None:
    overrides = {"use_old_hires_fix_width_height": True}
    params = studio.ask(overrides, **HIRES, width=size[0], height=size[1]).params
    assert (params.hr_resize_x, params.hr_resize_y) == size
    assert (params.width, params.height) == first
    off = studio.ask(overrides, width=size[0], height=size[1]).params
    assert (off.width, off.hr_resize_x) == (size[0], 0)


def test_pixel_upscalers_crop_after_encoding(studio: Any) -> None:
    values = {"enable_hr": True, "hr_resize_x": 128, "hr_resize_y": 96, "hr_upscaler": "Lanczos",
              "denoising_strength": 0.0}  # fmt: skip
    latents: list[Any] = []
    studio.services.hooks.add("post_sample", lambda p, latent: latents.append(latent), "test")
    assert studio.make(**values).images[0].size == (128, 96)
    square = values | {"hr_resize_y": 128}
    studio.make(**square)
    assert latents[0].equal(latents[1][:, :, 2:14, :])


@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos"])
def test_first_pass_is_saved_where_asked(upscaler: str, studio: Any, tmp_path: Path) -> None:
    services = dataclasses.replace(
        studio.services, paths=dataclasses.replace(studio.services.paths, data=tmp_path)
    )
    values = HIRES | {"hr_upscaler": upscaler, "batch_size": 2}

    def files(overrides: dict[str, Any], *, saves: bool) -> list[Path]:
        request = studio.ask(overrides, **values).model_copy(update={"save_samples": saves})
        assert len(run_request(request, services, SilentReport()).images) == 2
        return sorted(tmp_path.joinpath("outputs").rglob("*.png"))

    wanted = {"save_images_before_highres_fix": True}
    assert files(wanted, saves=False) == []
    found = files(wanted, saves=True)
    assert [path.name for path in found] == [
        "00000-7-before-highres-fix.png", "00001-7.png",
        "00002-8-before-highres-fix.png", "00003-8.png",
    ]  # fmt: skip
    plain = studio.make(batch_size=2)
    for first, alone in zip(found[::2], plain.images, strict=True):
        assert np.array_equal(np.asarray(Image.open(first)), np.asarray(alone))
    assert read(Image.open(found[0])).infotext == read(Image.open(found[1])).infotext


def test_extra_noise_stands_in_the_infotext(studio: Any) -> None:
    noisy = studio.make({"img2img_extra_noise": 0.3}, **HIRES)
    assert ", Extra noise: 0.3" in noisy.infotexts[0]
    plain = studio.make({"img2img_extra_noise": 0.3})
    assert "Extra noise" not in plain.infotexts[0]
