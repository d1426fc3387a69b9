"""The tables of samplers and schedules: what they list and how names are found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from modules.core.errors import NotFound
from modules.sampling.table import (
    SAMPLERS,
    SCHEDULERS,
    SamplerRow,
    Scheduler,
    find_sampler,
    find_scheduler,
    scheduler_for,
    split_old_name,
)

ROOT = Path(__file__).parents[2]
LISTS = json.loads((ROOT / "tests/data/golden/rest_lists.json").read_text())


def test_samplers_are_a1111s_in_order() -> None:
    rows = [
        {"name": row.name, "aliases": list(row.aliases), "options": row.options} for row in SAMPLERS
    ]
    assert rows == LISTS["samplers"]


def test_schedulers_are_a1111s_in_order() -> None:
    rows = [
        {
            "name": row.name,
            "label": row.label,
            "aliases": list(row.aliases) or None,
            "default_rho": row.default_rho,
            "need_inner_model": row.need_inner_model,
        }
        for row in SCHEDULERS
    ]
    assert rows == LISTS["schedulers"]


@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.name)
def test_every_sampler_has_its_function_and_names(row: SamplerRow) -> None:
    assert callable(row.sampler())
    for name in (row.name, row.name.lower(), *row.aliases):
        assert find_sampler(name) is row
    assert scheduler_for(row, "Automatic").name == row.scheduler
    assert scheduler_for(row, "Karras").name == "karras"


@pytest.mark.parametrize("row", SCHEDULERS, ids=lambda row: row.name)
def test_every_schedule_is_found_by_its_names(row: Scheduler) -> None:
    for name in (row.name, row.label, *row.aliases):
        assert find_scheduler(name) is row
    assert callable(row.schedule()) == (row.name != "automatic")


def test_no_name_means_automatic() -> None:
    assert find_scheduler(None).name == find_scheduler("").name == "automatic"


def test_unknown_names_are_refused_with_a_suggestion() -> None:
    with pytest.raises(NotFound, match="did you mean 'Euler'"):
        find_sampler("Eular")
    with pytest.raises(NotFound, match="did you mean 'Karras'"):
        find_scheduler("Karas")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("DPM++ 2M Karras", ("DPM++ 2M", "Karras")),
        ("DPM++ 2M SDE Exponential", ("DPM++ 2M SDE", "Exponential")),
        ("DPM++ 2M SDE Heun", ("DPM++ 2M SDE Heun", None)),
        ("Euler", ("Euler", None)),
    ],
)
def test_old_names_are_split(name: str, parts: tuple[str, str | None]) -> None:
    assert split_old_name(name, None) == parts


def test_the_table_loads_without_torch() -> None:
    code = "import sys, modules.sampling.table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
