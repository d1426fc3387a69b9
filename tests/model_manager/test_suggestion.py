from __future__ import annotations

import doctest

import pytest

from modules.model_manager import suggestion
from modules.model_manager.suggestion import suggest
from modules.sampling.table import SAMPLERS, SCHEDULERS


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sd_xl_turbo_1.0_fp16", "Turbo"),
        ("SDXL-Lightning-4step", "Lightning"),
        ("dreamshaperXL_lightningDPMSDE", None),
        ("dreamshaper_8LCM", "LCM"),
        ("model-hyper-v2", "Hyper"),
        ("turbocharged", None),
        ("v1-5-pruned-emaonly", None),
        ("hyperrealism", None),
    ],
)
def test_distilled_models_are_told_by_words_of_their_names(name: str, kind: str | None) -> None:
    found = suggest(name, {})
    assert (found.kind if found else None) == kind


def test_metadata_counts_too() -> None:
    found = suggest("model", {"modelspec.title": "SDXL Turbo"})
    assert found is not None
    assert "4 steps and CFG scale 1 with Euler a (Automatic)" in found.words


def test_suggested_names_are_in_the_tables() -> None:
    samplers = {row.name for row in SAMPLERS}
    schedules = {row.label for row in SCHEDULERS}
    for name in ("turbo", "lightning", "hyper", "lcm"):
        found = suggest(name, {})
        assert found is not None
        assert found.sampler_name in samplers
        assert found.scheduler in schedules


def test_documentation_is_true() -> None:
    assert doctest.testmod(suggestion).failed == 0
