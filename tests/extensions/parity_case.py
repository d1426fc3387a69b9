"""A request of A1111 1.10.1 for a script of img2img, and what A1111 made of it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from modules.core.hooks import Hooks
from modules.core.settings import Settings
from modules.extensions.host import ScriptHost
from modules.images import decode_base64
from modules.params import Img2ImgBody
from modules.params.request import only_parameters
from modules.processing.prepare import prepare_request
from modules.processing.report import Report, SilentReport
from modules.processing.result import Result
from modules.processing.run import Services
from modules.processing.script_run import run_script

CASES = Path(__file__).parents[1] / "data/parity/scripts"
MEAN_LEVELS, FAR_LEVELS, FAR_SHARE = 0.5, 2, 0.005
"""As in tests/parity."""


def run_case(
    host: ScriptHost,
    services: Services,
    data: Path,
    case: str,
    *,
    save: bool = False,
    report: Report | None = None,
    **changes: Any,
) -> Result:
    """The case's request with `changes`, run with an outputs folder in `data`."""
    asked = json.loads((CASES / f"{case}.request.json").read_text())["body"] | changes
    body = Img2ImgBody.model_validate(asked)
    paths = dataclasses.replace(services.paths, data=data)
    own = dataclasses.replace(services, hooks=Hooks(), paths=paths)
    request = prepare_request(
        only_parameters(body),
        kind="img2img",
        settings=Settings(None).view(),
        catalogue=services.models.catalogue,
        save_samples=save,
        save_grid=save,
        script_name=body.script_name,
        script_args=tuple(body.script_args),
    )
    run = host.runner(request)
    assert run is not None
    return run_script(request, run, own, report or SilentReport())


def first_picture(case: str) -> Image.Image:
    """What the case's request starts from."""
    body = json.loads((CASES / f"{case}.request.json").read_text())["body"]
    return decode_base64(body["init_images"][0])


def assert_as_a1111(result: Result, case: str) -> None:
    """The pictures agree, and the infotexts of `info` but for the version."""
    reply = json.loads((CASES / f"{case}.info.json").read_text())
    assert len(result.images) == reply["_n_images"]
    for number, image in enumerate(result.images):
        wanted = np.asarray(Image.open(CASES / f"{case}.{number}.png").convert("RGB"))
        got = np.asarray(image)
        assert got.shape == wanted.shape
        levels = np.abs(got.astype(np.int16) - wanted.astype(np.int16))
        assert levels.mean() <= MEAN_LEVELS
        assert (levels > FAR_LEVELS).mean() <= FAR_SHARE
    texts = [_without_version(text) for text in reply["info"]["infotexts"]]
    assert [_without_version(text) for text in result.info["infotexts"]] == texts


def _without_version(text: str) -> str:
    return re.sub(r"(, )?Version: [^,\n]+", "", text)
