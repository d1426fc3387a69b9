"""A request of A1111 1.10.1 for a script, and what A1111 made of it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from modules.core.hooks import Hooks
from modules.core.settings import Settings
from modules.extensions.host import ScriptHost
from modules.images import decode_base64
from modules.params import Img2ImgBody, Request, Txt2ImgBody
from modules.params.request import Kind, only_parameters
from modules.processing.prepare import prepare_request
from modules.processing.report import Report, SilentReport
from modules.processing.result import Result
from modules.processing.run import Services
from modules.processing.script_run import run_script

CASES = Path(__file__).parents[1] / "data/parity/scripts"
MEAN_LEVELS, FAR_LEVELS, FAR_SHARE = 0.5, 2, 0.005
"""As in tests/parity."""
LEGENDS = {"prompt_matrix": (96, 18), "xyz_cfg_steps": (96, 18)}
"""Pixels beside and above the cells of the grids; there letters are drawn."""
KERNS = features.check("raqm")
"""Whether Pillow found libfribidi, without which letters stand a little elsewhere."""


def own_services(services: Services, data: Path) -> Services:
    """The shared model, with the folder of this test alone."""
    paths = dataclasses.replace(services.paths, data=data)
    return dataclasses.replace(services, hooks=Hooks(), paths=paths)


def request_of(
    services: Services, asked: dict[str, Any], kind: Kind, *, save: bool = False
) -> Request:
    """What a body of the REST interface queues."""
    body = (Img2ImgBody if kind == "img2img" else Txt2ImgBody).model_validate(asked)
    return prepare_request(
        only_parameters(body),
        kind=kind,
        settings=Settings(None).view(),
        catalogue=services.models.catalogue,
        save_samples=save,
        save_grid=save,
        script_name=body.script_name,
        script_args=tuple(body.script_args),
    )


def run_body(
    host: ScriptHost,
    services: Services,
    asked: dict[str, Any],
    kind: Kind = "txt2img",
    *,
    save: bool = False,
    report: Report | None = None,
) -> Result:
    """What the script that a body names makes of it."""
    request = request_of(services, asked, kind, save=save)
    run = host.runner(request)
    assert run is not None
    return run_script(request, run, services, report or SilentReport())


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
    asked = json.loads((CASES / f"{case}.request.json").read_text())
    kind: Kind = "img2img" if asked["path"].endswith("/img2img") else "txt2img"
    own = own_services(services, data)
    return run_body(host, own, asked["body"] | changes, kind, save=save, report=report)


def first_picture(case: str) -> Image.Image:
    """What the case's request starts from."""
    body = json.loads((CASES / f"{case}.request.json").read_text())["body"]
    return decode_base64(body["init_images"][0])


def assert_as_a1111(result: Result, case: str) -> None:
    """The pictures agree, and the infotexts of `info` but for the version."""
    reply = json.loads((CASES / f"{case}.info.json").read_text())
    gold, begin = reply["info"], result.index_of_first_image
    assert len(result.images) == reply["_n_images"]
    for number, image in enumerate(result.images):
        got, wanted = np.asarray(image), np.asarray(picture_of(case, number))
        assert got.shape == wanted.shape
        if case in LEGENDS and number < begin and not KERNS:
            left, top = LEGENDS[case]
            got, wanted = got[top:, left:], wanted[top:, left:]
        levels = np.abs(got.astype(np.int16) - wanted.astype(np.int16))
        assert levels.mean() <= MEAN_LEVELS
        assert (levels > FAR_LEVELS).mean() <= FAR_SHARE
    texts = [_without_version(text) for text in gold["infotexts"]]
    assert [_without_version(text) for text in result.info["infotexts"]] == texts


def picture_of(case: str, number: int) -> Image.Image:
    """A picture that A1111 made."""
    return Image.open(CASES / f"{case}.{number}.png").convert("RGB")


def _without_version(text: str) -> str:
    return re.sub(r"(, )?Version: [^,\n]+", "", text)
