"""SD upscale: tiles, seeds and what comes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.core.errors import BadInput
from modules.extensions.host import ScriptHost
from modules.postprocess import PIXEL_UPSCALERS
from modules.processing.run import Services
from tests.extensions.paint_job import PaintJob, as_text, colour, make_img2img
from tests.extensions.parity_case import run_case

PICTURE = Image.new("RGB", (64, 48), (90, 90, 90))


def upscale(host: ScriptHost, job: PaintJob, *arguments: Any, **values: Any) -> Any:
    picture = values.pop("picture", PICTURE)
    p = make_img2img(job, picture, **values)
    return host.find("img2img", "sd upscale").run(p, "", *arguments)


def test_the_picture_is_enlarged_and_painted_in_tiles(host: ScriptHost) -> None:
    job = PaintJob()
    made = upscale(host, job, 16, "Lanczos", 2.0)
    assert job.passes == [6] and len(job.calls) == 6
    assert [call.seed for call in job.calls] == [7, 8, 9, 10, 11, 12]
    assert {call.size for call in job.calls} == {(64, 64)}
    noted = {"SD upscale overlap": 16, "SD upscale upscaler": "Lanczos"}
    assert all(call.extra == noted and call.mask is None for call in job.calls)
    (image,) = made.images
    assert image.size == (128, 96) and job.saved == [((128, 96), "call 0 seed 7", 7)]
    corners = [image.getpixel(at) for at in ((0, 0), (127, 0), (0, 95), (127, 95))]
    assert corners == [colour(0), colour(2), colour(3), colour(5)]


def test_batches_take_several_tiles_and_results_count_seeds(host: ScriptHost) -> None:
    job = PaintJob()
    made = upscale(host, job, 16, "Nearest", 2.0, batch_size=4, n_iter=2)
    assert [len(call.images) for call in job.calls] == [4, 2, 4, 2] and job.passes == [4]
    assert [call.seed for call in job.calls] == [7, 8, 8, 9]
    assert made.all_seeds == [7, 8] and made.infotexts == ["call 0 seed 7", "call 2 seed 8"]
    assert len(made.paths) == 2


def test_seeds_begin_again_behind_the_last(host: ScriptHost) -> None:
    job, last = PaintJob(), 2**64 - 1
    made = upscale(host, job, 16, "Nearest", 2.0, batch_size=4, n_iter=2, seed=last)
    assert [call.seed for call in job.calls] == [last, 0, 0, 1] and made.all_seeds == [last, 0]


def test_one_tile_left_over_makes_one_picture(host: ScriptHost) -> None:
    job = PaintJob()
    upscale(host, job, 0, "Nearest", 1.0, picture=Image.new("RGB", (192, 64)), batch_size=2)
    assert [call.values["batch_size"] for call in job.calls] == [2, 1]


def test_without_an_upscaler_the_size_stays(host: ScriptHost) -> None:
    job = PaintJob()
    made = upscale(host, job, 16, "None", 4.0)
    assert made.images[0].size == PICTURE.size and len(job.calls) == 1


def test_sides_that_are_no_multiple_of_8_come_back_as_they_were(host: ScriptHost) -> None:
    job = PaintJob()
    made = upscale(host, job, 16, "None", 1.0, picture=Image.new("RGB", (61, 43)))
    assert job.calls[0].size == (56, 40) and made.images[0].size == (61, 43)


def test_tiles_of_a_stopped_job_stay_as_they_were(host: ScriptHost) -> None:
    job = PaintJob(stop_after=2)
    made = upscale(host, job, 16, "Lanczos", 2.0, n_iter=5)
    assert len(job.calls) == 2 and len(made.images) == 1 and not job.saved
    assert made.images[0].getpixel((127, 95)) == (90, 90, 90)
    assert upscale(host, PaintJob(stop_after=0), 16, "None", 1.0).images == []


def test_a_mask_is_left_out_and_said_so(host: ScriptHost) -> None:
    job = PaintJob()
    upscale(host, job, 16, "None", 1.0, mask=as_text(Image.new("L", (64, 48), 255)))
    assert job.calls[0].mask is None and "mask" in job.warnings[0]


def test_of_several_pictures_the_first_is_taken(host: ScriptHost) -> None:
    job = PaintJob()
    pictures = [as_text(PICTURE), as_text(Image.new("RGB", (8, 8)))]
    made = upscale(host, job, 16, "None", 1.0, init_images=pictures, batch_size=2)
    assert made.images[0].size == PICTURE.size and "takes the first" in job.warnings[0]


@pytest.mark.parametrize(("arguments", "field"), [
    ((64, "Lanczos", 2.0), r"Tile overlap: 64 .*\(64x64\)"), ((-1, "None", 1.0), "Tile overlap"),
    ((16, "R-ESRGAN", 2.0), "Upscaler"), ((16, 99, 2.0), "Upscaler"),
    ((16, "Lanczos", 0.5), "Scale Factor"), ((16, "Lanczos", [2]), "Scale Factor"),
])  # fmt: skip
def test_bad_arguments_are_named(host: ScriptHost, arguments: Any, field: str) -> None:
    job = PaintJob()
    with pytest.raises(BadInput, match=field):
        upscale(host, job, *arguments)
    assert not job.calls


def test_pictures_that_would_be_too_large_are_refused(host: ScriptHost) -> None:
    wide = Image.new("RGB", (8200, 8))
    with pytest.raises(BadInput, match="Scale Factor.*16400x16"):
        upscale(host, PaintJob(), 16, "Lanczos", 2.0, picture=wide)


def test_arguments_are_a1111s(host: ScriptHost) -> None:
    note, overlap, upscaler, scale = host.controls(host.find("img2img", "sd upscale"))
    assert "tile size" in note.value
    assert (overlap.value, upscaler.value, scale.value) == (64, "None", 2.0)
    assert upscaler.choices == PIXEL_UPSCALERS


def test_a_model_paints_the_tiles(host: ScriptHost, services: Services, tmp_path: Path) -> None:
    result = run_case(
        host, services, tmp_path, "poor_outpaint", save=True, script_name="sd upscale",
        script_args=["", 16, "Lanczos", 1.2], steps=2, width=128, height=128, batch_size=2,
    )  # fmt: skip
    (image,) = result.images
    assert image.size == (192, 152) and np.asarray(image).std() > 5
    assert result.paths[0] is not None and result.paths[0].is_file()
    with Image.open(result.paths[0]) as saved:
        assert saved.info["parameters"] == result.infotexts[0]
    assert "SD upscale overlap: 16, SD upscale upscaler: Lanczos" in result.infotexts[0]
    assert result.info["all_seeds"] == [1234]
