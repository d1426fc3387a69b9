"""Extras: checked requests, what is done to pictures, and what their files say of it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from modules.core.errors import BadInput, Interrupted, NotFound, UnsupportedImage
from modules.core.settings import SettingsView, known_settings
from modules.images import read
from modules.jobs.job import without_pictures
from modules.jobs.progress import JobReport
from modules.params.extras import ExtrasParams
from modules.params.request import ExtrasRequest
from modules.postprocess import NoFiles, Upscalers
from modules.processing.extras import prepare_extras, run_extras
from modules.processing.report import SilentReport, Stop

PARAMETERS = "a cat\nNegative prompt: dog\nSteps: 5, Sampler: Euler, Seed: 7, Size: 8x6"


def no_device(size_bytes: int) -> Any:
    raise AssertionError("no network is used here")


UPSCALERS = Upscalers(NoFiles(), no_device)


def encoded(size: tuple[int, int] = (8, 6), mode: str = "RGB", format: str = "PNG",
            **texts: str) -> str:  # fmt: skip
    """A picture in base64, with PNG texts."""
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    file = io.BytesIO()
    image = Image.linear_gradient("L").resize(size).convert(mode)
    image.save(file, format, **({"pnginfo": info} if format == "PNG" else {}))
    return base64.b64encode(file.getvalue()).decode()


def prepare(*data: str, settings: dict[str, Any] | None = None, save: bool = False,
            **options: Any) -> ExtrasRequest:  # fmt: skip
    images = [{"data": one, "name": f"cat {place}.png"} for place, one in enumerate(data)]
    view = SettingsView(known_settings(), settings or {})
    values = {"upscaler_1": "Nearest", "images": images, **options}
    return prepare_extras(values, settings=view, upscalers=UPSCALERS, save_samples=save)


@pytest.fixture
def run(tmp_path: Path, services: Any) -> Callable[..., Any]:
    """Runs a request with the folders of this test."""
    from dataclasses import replace

    paths = replace(services.paths, data=tmp_path)

    def go(request: ExtrasRequest, report: Any = None, upscalers: Any = UPSCALERS) -> Any:
        return run_extras(request, upscalers, paths, report or SilentReport())

    return go


@pytest.mark.parametrize(
    ("options", "size", "words"),
    [
        ({}, (16, 12), "Postprocess upscale by: 2, Postprocess upscaler: Nearest"),
        ({"upscaling_resize": 1.3, "upscaler_1": "lanczos"}, (10, 7),
         "Postprocess upscale by: 1.3, Postprocess upscaler: Lanczos"),
        ({"resize_mode": 1, "upscaling_resize_w": 100, "upscaling_resize_h": 50}, (100, 50),
         "Postprocess upscale to: 100x50, Postprocess crop to: 100x50, "
         "Postprocess upscaler: Nearest"),
        ({"resize_mode": 1, "upscaling_resize_w": 100, "upscaling_resize_h": 50,
          "upscaling_crop": False}, (100, 75),
         "Postprocess upscale to: 100x50, Postprocess upscaler: Nearest"),
        ({"upscaler_1": "None"}, (8, 6), ""),
    ],
)  # fmt: skip
def test_picture_and_words(
    options: dict[str, Any], size: tuple[int, int], words: str, run: Any
) -> None:
    result = run(prepare(encoded(), **options))
    assert result.images[0].size == size
    assert result.infotexts == (words,)
    assert result.info["html_info"] == f"<p>{words}</p>"
    assert result.paths == (None,)


def test_parameters_stay_and_ours_stand_beside_them(run: Any) -> None:
    source = encoded(parameters=PARAMETERS, workflow="mine")
    words = "Postprocess upscale by: 2, Postprocess upscaler: Nearest"
    result = run(prepare(source, save=True))
    assert result.infotexts == (f"{PARAMETERS}, {words}",)
    with Image.open(result.paths[0]) as file:
        file.load()
        texts = {key: value for key, value in file.text.items() if not key.startswith("XML")}
    assert texts == {"parameters": PARAMETERS, "workflow": "mine", "postprocessing": words}


def test_meaning_of_colours_stays(run: Any) -> None:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(file, "PNG", icc_profile=b"a profile")
    result = run(prepare(base64.b64encode(file.getvalue()).decode(), save=True))
    with Image.open(result.paths[0]) as made:
        assert made.info["icc_profile"] == b"a profile"


def test_other_formats_hold_all_in_one_text(run: Any) -> None:
    request = prepare(
        encoded(parameters=PARAMETERS), save=True, settings={"samples_format": "webp"}
    )
    result = run(request)
    with Image.open(result.paths[0]) as file:
        assert read(file).infotext == result.infotexts[0]
    assert result.infotexts[0].startswith(PARAMETERS)


def test_nothing_is_written_into_files_where_the_user_wants_that(run: Any) -> None:
    request = prepare(encoded(parameters=PARAMETERS), save=True, settings={"enable_pnginfo": False})
    with Image.open(run(request).paths[0]) as file:
        file.load()
        assert not {"parameters", "postprocessing"} & file.text.keys()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1", "CMYK"])
def test_every_mode_of_picture(mode: str, run: Any) -> None:
    format = "TIFF" if mode == "CMYK" else "PNG"
    result = run(prepare(encoded(mode=mode, format=format), save=True))
    assert result.images[0].size == (16, 12)
    assert result.images[0].mode == (mode if mode in ("L", "LA", "RGB", "RGBA") else "RGB")
    assert result.paths[0].is_file()


def test_names_of_files(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "outputs/extras-images"
    run(prepare(encoded(), save=True))
    run(prepare(encoded(), encoded(), save=True))
    run(prepare(encoded(), encoded(), save=True, settings={
        "use_original_name_batch": False, "use_upscaler_name_as_suffix": True}))  # fmt: skip
    run(prepare(encoded(), encoded(), save=True))
    assert sorted(path.name for path in folder.rglob("*.png")) == [
        "00000.png", "00001-Nearest.png", "00002-Nearest.png",
        "cat 0-1.png", "cat 0.png", "cat 1-1.png", "cat 1.png",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["../../evil.png", "/etc/evil.png", "C:\\evil.png", "..", ""])
def test_name_of_a_picture_cannot_lead_elsewhere(name: str, run: Any, tmp_path: Path) -> None:
    request = prepare(encoded(), encoded(), save=True)
    images = tuple(one.model_copy(update={"name": name}) for one in request.params.images)
    params = request.params.model_copy(update={"images": images})
    result = run(request.model_copy(update={"params": params}))
    assert all(path.is_relative_to(tmp_path / "outputs/extras-images") for path in result.paths)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"gfpgan_visibility": 0.5}, BadInput, "gfpgan_visibility: .*face restoration is not"),
        ({"codeformer_visibility": 1}, BadInput, "codeformer_visibility"),
        ({"upscaler_1": "Nearst"}, NotFound, "did you mean 'Nearest'"),
        ({"upscaler_2": "R-ESRGAN 4x+"}, NotFound, "upscaler 'R-ESRGAN 4x\\+'"),
        ({"upscaling_resize": 0}, BadInput, "upscaling_resize"),
        ({"upscaling_resize_w": 0}, BadInput, "upscaling_resize_w"),
        ({"extras_upscaler_2_visibility": 2}, BadInput, "extras_upscaler_2_visibility"),
        ({"resize_mode": 2}, BadInput, "resize_mode"),
        ({"images": []}, BadInput, "a picture is needed"),
        ({"images": [{"data": "%%%", "name": "x"}]}, UnsupportedImage, "base64"),
        ({"images": [{"data": encoded((3000, 3000)), "name": "x"}], "upscaling_resize": 9},
         BadInput, "at most 128 million pixels"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_before_it_is_queued(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        prepare(encoded(), **options)


def test_each_picture_may_be_as_large_as_one_alone() -> None:
    large = encoded((9000, 9000), mode="1")
    prepare(large, large, upscaling_resize=0.1)
    too_large = encoded((16000, 9000), mode="1")
    with pytest.raises(UnsupportedImage, match=r"imageList\.1: .* at most 128 million pixels"):
        prepare(encoded(), too_large, upscaling_resize=0.1)


def test_results_together_are_limited_before_pixels_are_decoded() -> None:
    cut = base64.b64decode(encoded((640, 500)))[:60]  # its header, and a little more
    data = base64.b64encode(cut).decode()
    with pytest.raises(UnsupportedImage, match="damaged"):
        prepare(data, upscaling_resize=2)
    prepare(*[encoded((640, 500))] * 4, upscaling_resize=20)
    words = "imageList: '5 results with 640 million pixels' .* at most 512 million"
    with pytest.raises(BadInput, match=words):
        prepare(*[data] * 5, upscaling_resize=20)


def test_picture_that_cannot_be_made_leaves_the_others(run: Any) -> None:
    class Fussy(Upscalers):
        def upscale(self, image: Image.Image, *rest: Any) -> Image.Image:
            if image.width == 9:
                raise BadInput("image", "9x6", "the network makes it too large")
            return super().upscale(image, *rest)

    fussy, bad = Fussy(NoFiles(), no_device), encoded((9, 6))
    result = run(prepare(encoded(), bad, encoded()), upscalers=fussy)
    assert (len(result.images), result.interrupted) == (2, False)
    assert result.info["names"] == ["cat 0.png", "cat 2.png"]
    assert result.warnings == (
        "cat 1.png was not made: image: '9x6' cannot be used; the network makes it too large.",
    )
    assert "<p>cat 1.png was not made" in result.info["html_info"]
    with pytest.raises(BadInput, match="9x6"):
        run(prepare(bad, bad), upscalers=fussy)


def test_reply_names_what_was_skipped_and_what_was_not_begun(run: Any) -> None:
    class SkipThenStop(StopAfter):
        """Skips the second picture, and stops behind the third."""

        done = 0

        def begin_pass(self, text: str, steps: int) -> None:
            if "cat 1" in text:
                self.stop = Stop.SKIP

        def end_batch(self) -> None:
            self.stop = Stop.NO
            super().end_batch()

    result = run(prepare(*[encoded()] * 5), SkipThenStop(3))
    assert (result.info["names"], result.interrupted) == (["cat 0.png", "cat 2.png"], True)
    info = result.info["html_info"]
    assert info.endswith("<p>Skipped: cat 1.png</p><p>Stopped before: cat 3.png, cat 4.png</p>")


def test_settings_of_the_job_reach_the_upscaler(run: Any) -> None:
    tiles: list[int] = []

    class Noting(Upscalers):
        def upscale(self, image: Image.Image, *rest: Any) -> Image.Image:
            tiles.append(rest[-1]["ESRGAN_tile"])
            return super().upscale(image, *rest)

    request = prepare(encoded(), settings={"ESRGAN_tile": 16})
    run(request, upscalers=Noting(NoFiles(), no_device))
    assert tiles == [16]


class StopAfter(SilentReport):
    """Asks for a stop once so many pictures are done."""

    def __init__(self, pictures: int, stop: Stop = Stop.AFTER_CURRENT) -> None:
        self._left, self._stop = pictures, stop

    def end_batch(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.stop = self._stop


@pytest.mark.parametrize("stop", [Stop.AFTER_CURRENT, Stop.NOW])
def test_stop_keeps_what_is_done(stop: Stop, run: Any) -> None:
    result = run(prepare(encoded(), encoded(), encoded()), StopAfter(2, stop))
    assert (len(result.images), result.interrupted) == (2, True)


def test_stop_before_the_first_picture(run: Any) -> None:
    report = SilentReport()
    report.stop = Stop.NOW
    with pytest.raises(Interrupted):
        run(prepare(encoded()), report)


def test_progress_ends_at_one(run: Any) -> None:
    report = JobReport(-1)
    run(prepare(encoded(), encoded(), upscaler_2="Lanczos", extras_upscaler_2_visibility=0.5),
        report)  # fmt: skip
    assert (report.progress.passes, report.progress.fraction) == (4, 1.0)


def test_request_survives_json_and_loses_its_pictures_in_lists() -> None:
    request = prepare(encoded(), encoded(), settings={"samples_format": "webp"})
    assert ExtrasRequest.model_validate_json(request.model_dump_json()) == request
    assert request.settings == {"samples_format": "webp"}
    small = without_pictures(request)
    assert small.title == "2 pictures" and small.params.images[0].data == ""
    assert prepare(encoded()).title == "cat 0.png"
    assert ExtrasParams.model_validate({"unknown": 1}).images == ()
