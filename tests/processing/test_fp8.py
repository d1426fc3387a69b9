"""A model kept in 8 bits, through a whole job."""

from __future__ import annotations

from typing import Any

from modules.core.settings import Settings
from modules.processing.prepare import prepare_request
from modules.processing.report import SilentReport
from modules.processing.result import Result
from modules.processing.run import Services, run_request

SMALL = {"prompt": "a fox", "seed": 1, "steps": 1, "width": 64, "height": 64}


def make(services: Services, overrides: dict[str, Any]) -> Result:
    request = prepare_request(
        SMALL,
        settings=Settings(None).view(),
        catalogue=services.models.catalogue,
        overrides=overrides,
        save_samples=False,
        save_grid=False,
    )
    return run_request(request, services, SilentReport())


def test_infotext_names_what_was_kept_in_8_bits_and_the_override_ends(services: Services) -> None:
    exact = make(services, {})
    small = make(services, {"fp8_storage": "Enable"})
    assert "FP8 weight: Enable" in small.infotexts[0]
    assert small.images[0].tobytes() != exact.images[0].tobytes()
    sdxl_only = make(services, {"fp8_storage": "Enable for SDXL"})
    assert "FP8" not in sdxl_only.infotexts[0]
    again = make(services, {})
    assert again.images[0].tobytes() == exact.images[0].tobytes() == sdxl_only.images[0].tobytes()
