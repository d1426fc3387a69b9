"""The two outpainting scripts: how the canvas grows, what is painted of it, and what is kept."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.core.errors import BadInput
from modules.extensions.host import ScriptHost
from modules.processing.run import Services
from tests.extensions.paint_job import PaintJob, colour, make_img2img
from tests.extensions.parity_case import assert_as_a1111, first_picture, run_case

GREY = (90, 90, 90)
PICTURE = Image.new("RGB", (64, 64), GREY)
POOR = (64, 4, "fill", ["up", "down"])
LAST = 2**64 - 1
"""The largest seed."""
MK2 = ("", 32, 4, ["left", "down"], 1.0, 0.05)


def outpaint(
    host: ScriptHost,
    job: PaintJob,
    name: str,
    *arguments: Any,
    picture: Any = PICTURE,
    **values: Any,
) -> Any:
    return host.find("img2img", name).run(make_img2img(job, picture, **values), *arguments)


def poor(host: ScriptHost, job: PaintJob, *arguments: Any, **values: Any) -> Any:
    values = {"width": 128, "height": 128} | values
    return outpaint(host, job, "poor man's outpainting", *arguments, **values)


def mk2(host: ScriptHost, job: PaintJob, *arguments: Any, **values: Any) -> Any:
    return outpaint(host, job, "outpainting mk2", *arguments, **values)


def textured(seed: int = 0) -> np.ndarray[Any, Any]:
    """(64, 64, 3) in 0..1: waves from left to right in a dull orange."""
    random = np.random.default_rng(seed)
    wave = np.sin(np.arange(64) * 0.8)[None, :, None] * 0.2
    base = np.array([0.6, 0.4, 0.2]) + wave + random.normal(0, 0.02, (64, 64, 3))
    return base.clip(0, 1).astype(np.float32)


# Poor man's


@pytest.mark.parametrize(("size", "directions", "grown", "old"), [
    ((160, 128), ["up", "down"], (192, 256), (0, 64, 192, 192)),
    ((100, 100), ["left"], (192, 128), (92, 0, 192, 128)),
    ((100, 100), ["left", "right"], (256, 128), (78, 0, 178, 128)),
    ((64, 64), ["left", "right", "up", "down"], (192, 192), (64, 64, 128, 128)),
])  # fmt: skip
def test_the_canvas_grows_to_multiples_of_64(
    host: ScriptHost, size: Any, directions: Any, grown: Any, old: Any
) -> None:
    module: Any = inspect.getmodule(type(host.find("img2img", "poor man's outpainting")))
    growth = module.grown(size, 64, directions)
    assert growth.size == grown and tuple(growth.old) == old


def test_only_tiles_with_something_new_are_painted(host: ScriptHost) -> None:
    job = PaintJob()
    made = poor(host, job, *POOR, height=96)
    (image,) = made.images
    assert image.size == (64, 192)
    assert job.passes == [len(job.calls)]
    assert all(call.size == (64, 96) and call.mask is not None for call in job.calls)
    assert [call.seed for call in job.calls] == [7 + n for n in range(len(job.calls))]
    values = job.calls[0].values
    assert (values["mask_blur"], values["inpainting_fill"]) == (8, 0)
    assert not values["inpaint_full_res"]
    pixels = np.asarray(image)
    assert (pixels[72:120] == GREY).all(), "the picture is kept, but for its margin"
    assert tuple(pixels[0, 0]) == colour(0) and tuple(pixels[-1, 0]) == colour(len(job.calls) - 1)
    assert not (pixels[:64] == GREY).all(axis=2).any(), "all that is new is painted"
    assert job.saved == [((64, 192), "call 0 seed 7", 7)]
    assert made.infotexts == ["call 0 seed 7"] and made.all_seeds == [7]


def test_masks_reach_into_the_picture(host: ScriptHost) -> None:
    job = PaintJob()
    poor(host, job, 64, 6, 3, "left", width=128)
    (call,) = job.calls
    (canvas,) = call.images
    assert call.mask and call.latent_mask and canvas.size == (128, 64)
    for mask, reach in ((call.mask, 12), (call.latent_mask, 3)):
        marked = np.asarray(mask)[0] == 255
        assert marked[: 64 + reach].all() and not marked[64 + reach :].any()
    assert call.values["inpainting_fill"] == 3
    assert "Masked content" not in call.extra, "given by number it is said, as ever"


def test_a_word_for_the_content_is_as_good_as_its_number(host: ScriptHost) -> None:
    job = PaintJob()
    poor(host, job, 64, 6, "original", ["left"])
    assert job.calls[0].values["inpainting_fill"] == 1
    assert job.calls[0].extra == {"Masked content": None}, "left out of the infotext, as in A1111"


def test_pixels_must_leave_room_in_a_tile(host: ScriptHost) -> None:
    job = PaintJob()
    with pytest.raises(BadInput, match=r"Pixels to expand: 128 .*\(128x128\)"):
        poor(host, job, 128, 4, "fill", ["left", "right"])
    assert not job.calls


def test_a_stop_gives_back_what_there_is(host: ScriptHost) -> None:
    job = PaintJob(stop_after=1)
    made = poor(host, job, *POOR, n_iter=3, height=96)
    assert len(job.calls) == 1 and [image.size for image in made.images] == [(64, 192)]
    pixels = np.asarray(made.images[0])
    assert tuple(pixels[0, 0]) == colour(0) and tuple(pixels[-1, 0]) == (0, 0, 0)
    assert not job.saved, "what is not whole is not kept"
    assert poor(host, PaintJob(stop_after=0), *POOR).images == []


def test_poor_mans_pictures_equal_those_of_a1111(
    host: ScriptHost, services: Services, tmp_path: Path
) -> None:
    result = run_case(host, services, tmp_path, "poor_outpaint")
    assert_as_a1111(result, "poor_outpaint")


# mk2


def test_noise_has_the_pictures_colours_and_frequencies(host: ScriptHost) -> None:
    host.find("img2img", "outpainting mk2")
    from easel_img2img.texture import matched_noise

    picture = textured()
    known = np.zeros((64, 64), dtype=bool)
    known[:, 16:] = True
    noise = matched_noise(picture, known, np.random.default_rng(5), variation=0.0)
    assert noise.shape == picture.shape and noise.dtype == np.float32
    old, new = picture[known], noise.reshape(-1, 3)
    assert np.abs(new.mean(axis=0) - old.mean(axis=0)).max() < 0.01
    assert np.abs(new.std(axis=0) - old.std(axis=0)).max() < 0.01
    steps = [np.abs(np.diff(noise, axis=axis)).mean() for axis in (0, 1)]
    assert steps[1] > 3 * steps[0], "the waves run from left to right"
    correlation = np.corrcoef(new.T)[0, 2]
    free = matched_noise(picture, known, np.random.default_rng(5), variation=1.0).reshape(-1, 3)
    assert correlation > 0.8 > np.corrcoef(free.T)[0, 2]


def test_falloff_trades_detail_for_calm(host: ScriptHost) -> None:
    host.find("img2img", "outpainting mk2")
    from easel_img2img.texture import matched_noise

    picture, known = textured(), np.ones((64, 64), dtype=bool)
    rough = [
        np.abs(
            np.diff(matched_noise(picture, known, np.random.default_rng(5), falloff=q), axis=0)
        ).mean()
        for q in (0.0, 1.0, 2.0)
    ]
    assert rough[0] > rough[1] > rough[2]


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_a_plain_picture_gives_plain_noise(host: ScriptHost, level: float) -> None:
    host.find("img2img", "outpainting mk2")
    from easel_img2img.texture import matched_noise

    picture = np.full((16, 16, 3), level, dtype=np.float32)
    known = np.ones((16, 16), dtype=bool)
    assert np.allclose(matched_noise(picture, known, np.random.default_rng(1)), level)
    with pytest.raises(ValueError, match="nothing"):
        matched_noise(picture, ~known, np.random.default_rng(1))


def test_sides_are_painted_one_after_another(host: ScriptHost) -> None:
    job = PaintJob()
    made = mk2(host, job, *MK2)
    left, down = job.calls
    assert job.passes == [2] and made.images[0].size == (96, 96)
    assert left.size == (64, 64) and down.size == (96, 64)
    assert (left.seed, down.seed) == (7, 7)
    assert (left.values["mask_blur_x"], left.values["mask_blur_y"]) == (8, 0)
    assert (down.values["mask_blur_x"], down.values["mask_blur_y"]) == (0, 8)
    assert left.values["inpainting_fill"] == 1 and not left.values["inpaint_full_res"]
    assert left.mask and left.latent_mask and down.mask
    assert np.asarray(left.mask)[0].tolist() == [255] * 40 + [0] * 24
    assert np.asarray(left.latent_mask)[0].tolist() == [255] * 34 + [0] * 30
    assert np.asarray(down.mask)[:, 0].tolist() == [0] * 24 + [255] * 40
    pixels = np.asarray(made.images[0])
    assert (pixels[:56, 40:] == GREY).all()
    assert tuple(pixels[0, 0]) == colour(0) and tuple(pixels[-1, -1]) == colour(1)
    assert job.saved == [((96, 96), "call 0 seed 7", 7)]


def test_the_new_part_begins_as_noise_of_the_seed(host: ScriptHost) -> None:
    picture = Image.fromarray((textured() * 255).astype(np.uint8))
    parts = []
    for seed in (7, 7, 8):
        job = PaintJob()
        mk2(host, job, "", 32, 4, ["left"], 1.0, 0.05, picture=picture, seed=seed)
        parts.append(np.asarray(job.calls[0].images[0]).astype(int))
    first, again, other = parts
    assert (first == again).all() and (first[:, :32] != other[:, :32]).any()
    assert (first[:, 32:] == np.asarray(picture)[:, :32]).all(), "the picture itself is as it was"
    assert first[:, :32].std() > 10


def test_a_batch_grows_together(host: ScriptHost) -> None:
    job = PaintJob()
    made = mk2(host, job, "", 32, 0, ["up"], 1.0, 0.5, batch_size=2, n_iter=2)
    assert [call.seed for call in job.calls] == [7, 9] and made.all_seeds == [7, 8, 9, 10]
    assert [image.size for image in made.images] == [(64, 96)] * 4
    assert made.infotexts == [f"call {n // 2} seed {7 + n}" for n in range(4)]


@pytest.mark.parametrize(("name", "arguments", "seeds"), [
    ("outpainting mk2", ("", 32, 0, ["up"], 1.0, 0.5), [LAST, 1]),
    ("poor man's outpainting", (32, 0, "fill", ["up"]), [LAST, 0]),
])  # fmt: skip
def test_seeds_begin_again_behind_the_last(
    host: ScriptHost, name: str, arguments: Any, seeds: list[int]
) -> None:
    job, count = PaintJob(), 2 if name == "outpainting mk2" else 1
    outpaint(host, job, name, *arguments, seed=LAST, batch_size=count, n_iter=2, height=128)
    assert [call.seed for call in job.calls] == seeds


@pytest.mark.parametrize("size", [(61, 67), (8, 8), (200, 30)])
def test_odd_sizes_grow_by_exactly_so_many_pixels(host: ScriptHost, size: Any) -> None:
    job = PaintJob()
    picture = Image.new("RGB", size, GREY)
    made = mk2(host, job, "", 24, 2, ["left", "right", "up", "down"], 1.0, 0.05, picture=picture)
    assert made.images[0].size == (size[0] + 48, size[1] + 48)
    assert all(side % 8 == 0 for call in job.calls for side in call.size)


def test_a_stop_gives_back_the_sides_that_are_there(host: ScriptHost) -> None:
    job = PaintJob(stop_after=1)
    made = mk2(host, job, *MK2, n_iter=2)
    assert [image.size for image in made.images] == [(96, 64)] and not job.saved
    assert mk2(host, PaintJob(stop_after=0), *MK2).images == []


@pytest.mark.parametrize(("name", "arguments", "field"), [
    ("outpainting mk2", ("", 32, 4, [], 1.0, 0.05), "Outpainting direction"),
    ("outpainting mk2", ("", 32, 4, ["north"], 1.0, 0.05), "Outpainting direction"),
    ("outpainting mk2", ("", 60, 4, ["up"], 1.0, 0.05), "Pixels to expand"),
    ("outpainting mk2", ("", 8, -1, ["up"], 1.0, 0.05), "Mask blur"),
    ("outpainting mk2", ("", 8, 4, ["up"], -1, 0.05), "Fall-off"),
    ("outpainting mk2", ("", 8, 4, ["up"], 1, 1.5), "Color variation"),
    ("poor man's outpainting", (32, 4, "fill", None), "Outpainting direction"),
    ("poor man's outpainting", (0, 4, "fill", ["up"]), "Pixels to expand"),
    ("poor man's outpainting", (32, 4, 4, ["up"]), "Masked content"),
    ("poor man's outpainting", (32, 4, True, ["up"]), "Masked content"),
])  # fmt: skip
def test_bad_arguments_are_named(host: ScriptHost, name: str, arguments: Any, field: str) -> None:
    job = PaintJob()
    with pytest.raises(BadInput, match=field):
        outpaint(host, job, name, *arguments)
    assert not job.calls


@pytest.mark.parametrize("name", ["outpainting mk2", "poor man's outpainting"])
def test_pictures_that_would_be_too_large_are_refused(host: ScriptHost, name: str) -> None:
    wide = Image.new("RGB", (16380, 8))
    arguments = {"outpainting mk2": MK2, "poor man's outpainting": (32, 4, 0, ["left"])}[name]
    with pytest.raises(BadInput, match="16384"):
        outpaint(host, PaintJob(), name, *arguments, picture=wide)


def test_arguments_are_a1111s(host: ScriptHost) -> None:
    def values(name: str) -> list[Any]:
        controls = host.controls(host.find("img2img", name))
        return [control.value for control in controls]

    every = ["left", "right", "up", "down"]
    assert values("poor man's outpainting") == [128, 4, "fill", every]
    assert values("outpainting mk2")[1:] == [128, 8, every, 1.0, 0.05]


def test_mk2_outpaints_with_a_model(host: ScriptHost, services: Services, tmp_path: Path) -> None:
    result = run_case(
        host, services, tmp_path, "poor_outpaint", save=True, script_name="outpainting mk2",
        script_args=["", 32, 4, ["right"], 1.0, 0.05], steps=2, width=64, height=64,
    )  # fmt: skip
    (image,) = result.images
    assert image.size == (192, 128) and result.paths[0] is not None and result.paths[0].is_file()
    assert np.asarray(image)[:, 160:].std() > 5
    assert "Size: 64x128" in result.infotexts[0]
    start = np.asarray(first_picture("poor_outpaint"))
    kept = np.abs(np.asarray(image)[:, :120].astype(int) - start[:, :120])
    assert kept.max() <= 1, "far from the new side nothing changes"
