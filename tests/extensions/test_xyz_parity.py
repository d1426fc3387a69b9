"""The shipped scripts on the tiny model: A1111's pictures, grids and infotexts.

Made by A1111 1.10.1, see tests/parity.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modules.extensions.host import ScriptHost
from modules.images.encode import encode_image
from modules.params.infotext_read import read_infotext
from modules.processing.report import SilentReport
from modules.processing.run import Services, run_request
from tests.extensions.parity_case import (
    CASES,
    assert_as_a1111,
    own_services,
    request_of,
    run_body,
    run_case,
)


@pytest.fixture
def own(services: Services, tmp_path: Path) -> Services:
    """The shared model with an outputs folder of this test alone."""
    return own_services(services, tmp_path)


@pytest.mark.parametrize("case", ["prompt_matrix", "prompts_from_file", "xyz_cfg_steps"])
def test_pictures_and_infotexts_equal_those_of_a1111(
    case: str, host: ScriptHost, services: Services, tmp_path: Path
) -> None:
    gold = json.loads((CASES / f"{case}.info.json").read_text())["info"]
    result = run_case(host, services, tmp_path, case)
    assert_as_a1111(result, case)
    assert list(result.infotexts) == result.info["infotexts"][: len(result.images)]
    assert result.info["all_prompts"] == gold["all_prompts"]
    assert result.info["all_seeds"][: len(gold["all_seeds"])] == gold["all_seeds"]
    assert set(gold) <= set(result.info)


def test_files_of_a_plot_are_its_grid_and_its_pictures(host: ScriptHost, own: Services) -> None:
    asked = {
        "prompt": "a", "steps": 2, "width": 64, "height": 64, "seed": 7, "sampler_name": "Euler",
        "script_name": "x/y/z plot",
        "script_args": [
            "Clip skip", "1, 2", [], "Sampler", "", ["Euler", "DDIM"], 0, "", [],
            True, True, False, False, False, False, False, 4, False,
        ],
    }  # fmt: skip
    result = run_body(host, own, asked, save=True)
    assert all(path is not None and path.is_file() for path in result.paths)
    assert len({*result.paths}) == 5 and result.paths[0].parent != result.paths[1].parent
    clip = ["Clip skip: 2" in text for text in result.infotexts[1:]]
    assert clip == [False, True, False, True]
    assert ["Sampler: DDIM" in text for text in result.infotexts[1:]] == [False] * 2 + [True] * 2
    with Image.open(result.paths[0]) as saved:
        text = saved.info["parameters"]
    assert text == result.infotexts[0] and 'Y Values: "Euler, DDIM"' in text
    assert read_infotext(text).params["steps"] == 2


def test_a_plot_of_img2img_is_made_of_ordinary_pictures(host: ScriptHost, own: Services) -> None:
    start = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    asked = {
        "init_images": [base64.b64encode(encode_image(start, "png")).decode()],
        "prompt": "a", "steps": 4, "width": 64, "height": 64, "seed": 7, "sampler_name": "Euler",
        "script_name": "X/Y/Z Plot",
        "script_args": ["Denoising", "0.3, 0.9", [], 0, "", [], 0, "", [], False, True],
    }  # fmt: skip
    grid, *pictures = run_body(host, own, asked, "img2img").images
    assert grid.size == (128, 64)
    for number, strength in enumerate((0.3, 0.9)):
        values = {key: value for key, value in asked.items() if "script" not in key}
        request = request_of(own, values | {"denoising_strength": strength}, "img2img")
        plain = run_request(request, own, SilentReport())
        assert np.array_equal(np.asarray(plain.images[0]), np.asarray(pictures[number]))


@pytest.mark.parametrize(("save", "size"), [(False, (32, 16)), (True, (64, 32))])
def test_batches_are_made_where_their_grids_are(
    host: ScriptHost, own: Services, save: bool, size: tuple[int, int]
) -> None:
    asked = {
        "prompt": "a", "steps": 1, "width": 16, "height": 16, "seed": 7, "sampler_name": "Euler",
        "n_iter": 2, "batch_size": 2, "script_name": "x/y/z plot",
        "script_args": ["CFG Scale", "3, 9", [], 0, "", [], 0, "", [], False],
    }  # fmt: skip
    result = run_body(host, own, asked, save=save)
    assert result.images[0].size == size
    assert any("one picture, not 4" in text for text in result.warnings) is not save


def test_the_scripts_describe_their_arguments(host: ScriptHost) -> None:
    for tab in ("txt2img", "img2img"):
        assert {"Prompt matrix", "Prompts from file or textbox", "X/Y/Z plot"} <= {
            script.title() for script in host.selectable(tab)
        }
    plot = host.find("txt2img", "x/y/z plot")
    labels = [control.label for control in host.controls(plot)]
    assert labels == [
        "X type", "X values", "X values", "Y type", "Y values", "Y values",
        "Z type", "Z values", "Z values", "Draw legend", "Include Sub Images",
        "Include Sub Grids", "Keep -1 for seeds", "Vary seeds for X", "Vary seeds for Y",
        "Vary seeds for Z", "Grid margins (px)", "Use text inputs instead of dropdowns",
    ]  # fmt: skip
    defaults = [control.value for control in host.controls(plot)]
    assert defaults[:9] == [1, "", [], 0, "", [], 0, "", []] and defaults[9] is True
    matrix = host.controls(host.find("img2img", "prompt matrix"))
    assert [control.value for control in matrix] == [False, False, "positive", "comma", 0]
    prompts = host.controls(host.find("img2img", "prompts from file or textbox"))
    assert [control.value for control in prompts] == [False, False, "start", ""]
