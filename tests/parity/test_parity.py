"""The same parameters give A1111's picture: requests with what A1111 1.10.1 made of them.

Made on a CPU in fp32 with tests/data/models. Allowed: 0.5 levels of 255 on average, more than 2
levels in 0.5 % of the values; other kernels add up in another order, and 20 steps amplify that.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.core.settings import Settings
from modules.params import Img2ImgBody, Txt2ImgBody
from modules.params.request import only_parameters
from modules.processing.prepare import prepare_request
from modules.processing.report import SilentReport
from modules.processing.run import Services, run_request

CASES = Path(__file__).parents[1] / "data/parity"
MEAN_LEVELS, FAR_LEVELS, FAR_SHARE = 0.5, 2, 0.005


def cases() -> list[str]:
    suffix = ".request.json"
    return sorted(
        f"{path.parent.name}/{path.name.removesuffix(suffix)}"
        for path in CASES.glob(f"*/*{suffix}")
        if path.parent.name != "scripts"  # these run in tests/extensions
    )


def without_version(text: str) -> str:
    return re.sub(r"(, )?Version: [^,\n]+", "", text)


@pytest.mark.parametrize("case", cases())
def test_picture_and_infotext_equal_those_of_a1111(case: str, services: Services) -> None:
    case_file = json.loads((CASES / f"{case}.request.json").read_text())
    asked: dict[str, Any] = case_file["body"]
    is_img2img = case_file["path"].endswith("img2img")
    body_class = Img2ImgBody if is_img2img else Txt2ImgBody
    gold = json.loads((CASES / f"{case}.info.json").read_text())["info"]
    body = body_class.model_validate({k: v for k, v in asked.items() if v is not None})
    values = only_parameters(body) | {"sampler_name": body.sampler_name or body.sampler_index}
    settings = Settings(None)
    request = prepare_request(
        values,
        kind="img2img" if is_img2img else "txt2img",
        settings=settings.view(),
        catalogue=services.models.catalogue,
        overrides=body.override_settings,
        save_samples=False,
        save_grid=False,
        alwayson_scripts=body.alwayson_scripts,
    )
    result = run_request(request, services, SilentReport())
    for number, image in enumerate(result.images):
        wanted = np.asarray(Image.open(CASES / f"{case}.{number}.png").convert("RGB"))
        got = np.asarray(image)
        assert got.shape == wanted.shape
        levels = np.abs(got.astype(np.int16) - wanted.astype(np.int16))
        assert levels.mean() <= MEAN_LEVELS
        assert (levels > FAR_LEVELS).mean() <= FAR_SHARE
    assert len(result.images) == len(gold["all_seeds"])
    assert [without_version(text) for text in result.infotexts] == [
        without_version(text) for text in gold["infotexts"]
    ]
    assert result.info["all_seeds"] == gold["all_seeds"]
    assert set(gold) <= set(result.info)
