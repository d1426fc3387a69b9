"""Loopback: strengths, what goes on from what, and A1111's own pictures."""

from __future__ import annotations

import inspect
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.core.errors import BadInput
from modules.extensions.host import ScriptHost
from modules.processing.run import Services
from tests.extensions.paint_job import PaintJob, colour, make_img2img
from tests.extensions.parity_case import assert_as_a1111, run_case

PICTURE = Image.new("RGB", (64, 64), "navy")
ARGUMENTS: tuple[Any, ...] = (3, 0.3, "Linear", "None")


def loop(host: ScriptHost, job: PaintJob, *arguments: Any, **values: Any) -> Any:
    script = host.find("img2img", "loopback")
    values = {"denoising_strength": 0.6} | values
    return script.run(make_img2img(job, PICTURE, **values), *arguments)


@pytest.mark.parametrize(("curve", "middle"), [
    ("Aggressive", 0.6 - 0.3 * 0.5**0.5), ("Linear", 0.45), ("Lazy", 0.3 + 0.3 * 0.5**0.5),
])  # fmt: skip
def test_strength_goes_from_first_to_last(host: ScriptHost, curve: str, middle: float) -> None:
    module: Any = inspect.getmodule(type(host.find("img2img", "loopback")))
    strengths = [module.strength_at(n, 3, 0.6, 0.3, curve) for n in range(3)]
    assert strengths == pytest.approx([0.6, middle, 0.3])
    for first, last in itertools.product((0.0, 1.0), repeat=2):
        assert all(0 <= module.strength_at(n, 7, first, last, curve) <= 1 for n in range(7))
    assert module.strength_at(0, 1, 0.6, 0.3, curve) == 0.6


def test_each_picture_starts_from_the_one_before(host: ScriptHost) -> None:
    job = PaintJob()
    made = loop(host, job, *ARGUMENTS)
    assert job.passes == [3]
    assert [call.seed for call in job.calls] == [7, 8, 9]
    strengths = [call.values["denoising_strength"] for call in job.calls]
    assert strengths == pytest.approx([0.6, 0.45, 0.3])
    starts = [call.images[0].getpixel((0, 0)) for call in job.calls]
    assert starts == [(0, 0, 128), colour(0), colour(1)]
    assert [call.encode_seeds for call in job.calls] == [[9], [7], [8]]
    assert job.calls[0].extra == {"Final denoising strength": 0.3, "Denoising curve": "Linear"}
    assert made.index_of_first_image == 1 and job.grids == [(192, 64)]
    assert [image.getpixel((0, 0)) for image in made.images[1:]] == [colour(n) for n in range(3)]
    own_texts = [f"call {n} seed {7 + n}" for n in range(3)]
    assert made.infotexts == [own_texts[0], *own_texts]
    assert made.as_info()["infotexts"] == [own_texts[0]] * 4, "as A1111"
    assert made.all_seeds == [7, 8, 9] and len(made.paths) == 4


def test_every_batch_is_a_series_of_its_own(host: ScriptHost) -> None:
    job = PaintJob()
    made = loop(host, job, 2, 0.5, "Lazy", "None", n_iter=2, batch_size=3, inpainting_fill=0)
    assert job.passes == [4] and made.index_of_first_image == 2
    assert [call.seed for call in job.calls] == [7, 8, 9, 10]
    assert job.calls[2].images[0].getpixel((0, 0)) == (0, 0, 128)
    assert [call.values["inpainting_fill"] for call in job.calls] == [0, 1, 0, 1]
    assert {call.values["batch_size"] for call in job.calls} == {1}
    assert "batch size" in job.warnings[0]
    texts = [f"call {n} seed {7 + n}" for n in range(4)]
    assert made.infotexts == [texts[0], texts[2], *texts], "a grid has that of its first picture"


def test_seeds_begin_again_behind_the_last(host: ScriptHost) -> None:
    job, last = PaintJob(), 2**64 - 1
    loop(host, job, *ARGUMENTS, seed=last)
    assert [call.seed for call in job.calls] == [last, 0, 1]
    assert [call.encode_seeds for call in job.calls] == [[1], [last], [0]]


def test_one_loop_has_no_grid(host: ScriptHost) -> None:
    job = PaintJob()
    made = loop(host, job, 1, 0.5, "Lazy", "None")
    assert len(made.images) == 1 and made.index_of_first_image == 0 and not job.grids


def test_what_was_made_before_a_stop_is_given_back(host: ScriptHost) -> None:
    job = PaintJob(stop_after=2)
    made = loop(host, job, 5, 0.5, "Linear", "None", n_iter=3)
    assert len(job.calls) == 2 and len(made.images) == 3
    assert loop(host, PaintJob(stop_after=0), *ARGUMENTS).images == []


def test_a_skipped_picture_is_passed_over(host: ScriptHost) -> None:
    job = PaintJob(skip=(1,))
    made = loop(host, job, *ARGUMENTS)
    assert len(made.images) == 3 and made.all_seeds == [7, 9]
    assert job.calls[2].images[0].getpixel((0, 0)) == colour(0)


def test_a_caption_is_appended_where_there_is_one(host: ScriptHost) -> None:
    class Captioned(PaintJob):
        def caption(self, image: Image.Image) -> str:
            return f"colour {image.getpixel((0, 0))}"

    job = Captioned()
    loop(host, job, 2, 0.5, "Linear", "CLIP")
    prompts = [call.values["prompt"] for call in job.calls]
    assert prompts == ["a fox, colour (0, 0, 128)", f"a fox, colour {colour(0)}"]
    for append in ("CLIP", "DeepBooru"):
        plain = PaintJob()
        loop(host, plain, 1, 0.5, "Linear", append)
        assert plain.calls[0].values["prompt"] == "a fox" and append in plain.warnings[0]


@pytest.mark.parametrize(("place", "value", "field"), [
    (0, 0, "Loops"), (0, "many", "Loops"), (0, 2.5, "Loops"), (0, None, "Loops"),
    (1, 1.5, "Final"), (1, float("nan"), "Final"), (2, "Steep", "curve"), (3, "BLIP", "Append"),
])  # fmt: skip
def test_bad_arguments_are_named(host: ScriptHost, place: int, value: Any, field: str) -> None:
    job = PaintJob()
    bad = [*ARGUMENTS]
    bad[place] = value
    with pytest.raises(BadInput, match=field):
        loop(host, job, *bad)
    assert not job.calls


def test_arguments_are_a1111s(host: ScriptHost) -> None:
    controls = host.controls(host.find("img2img", "loopback"))
    assert [control.value for control in controls] == [4, 0.5, "Linear", "None"]
    assert all(script.title() != "Loopback" for script in host.selectable("txt2img"))


def test_pictures_and_infotexts_equal_those_of_a1111(
    host: ScriptHost, services: Services, tmp_path: Path
) -> None:
    result = run_case(host, services, tmp_path, "loopback_aggr")
    assert_as_a1111(result, "loopback_aggr")
    assert result.info["all_seeds"] == [1234, 1235, 1236]
    for text, seed, strength in zip(
        result.infotexts[1:], (1234, 1235, 1236), ("0.6", "0.387", "0.3"), strict=True
    ):
        assert f"Seed: {seed}," in text and f", Denoising strength: {strength}" in text


def test_json_of_the_reply_can_be_written(
    host: ScriptHost, services: Services, tmp_path: Path
) -> None:
    arguments = [2, 0.5, "Lazy", "DeepBooru"]
    changes = {"script_args": arguments, "steps": 1, "width": 64, "height": 64}
    result = run_case(host, services, tmp_path, "loopback_aggr", save=True, **changes)
    assert json.loads(json.dumps(result.info))["index_of_first_image"] == 1
    assert all(path is not None and path.is_file() for path in result.paths)
    assert np.asarray(result.images[2]).std() > 1
    assert any("DeepBooru" in text for text in result.warnings)
