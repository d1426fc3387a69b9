from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modules.core.errors import BadInput, NotFound
from modules.core.settings import Settings
from modules.params.styles import Style, StyleDatabase
from modules.processing.prepare import HIRES_UPSCALERS, find_names, prepare_request
from modules.sampling.table import SAMPLERS, SCHEDULERS


class Shelf:
    """A catalogue of one checkpoint."""

    def find(self, name: str) -> str:
        if name != "tiny":
            raise NotFound("checkpoint", name, ["tiny"])
        return name


def prepare(values: dict[str, Any], **envelope: Any) -> Any:
    return prepare_request(values, settings=Settings(None).view(), catalogue=Shelf(), **envelope)


@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.name)
def test_sampler_is_found_by_name_alias_and_any_case(row: Any) -> None:
    for name in (row.name, row.name.upper(), *row.aliases):
        assert find_names(name, None) == (row.name, "Automatic")


@pytest.mark.parametrize("row", SCHEDULERS, ids=lambda row: row.label)
def test_schedule_is_found_by_name_and_label(row: Any) -> None:
    for name in (row.name, row.label, row.label.lower(), *row.aliases):
        assert find_names("Euler", name) == ("Euler", row.label)


@pytest.mark.parametrize(
    ("old", "found"),
    [
        ("DPM++ 2M Karras", ("DPM++ 2M", "Karras")),
        ("dpm++ 2m sde exponential", ("DPM++ 2M SDE", "Exponential")),
    ],
)
def test_old_sampler_names_bring_their_schedule(old: str, found: tuple[str, str]) -> None:
    assert find_names(old, None) == found
    assert find_names(old, "Beta") == (found[0], "Beta")


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"sampler_name": "Eular"}, NotFound, "sampler 'Eular'; did you mean 'Euler"),
        ({"scheduler": "Karas"}, NotFound, "did you mean 'Karras'"),
        ({"steps": 0}, BadInput, "steps: 0 cannot be used"),
        ({"width": "wide"}, BadInput, "width: 'wide'"),
        ({"enable_hr": True, "hr_upscaler": "Lanczso"}, NotFound, "did you mean 'Lanczos'"),
        ({"enable_hr": True, "hr_resize_x": 4}, BadInput, "sides of the second pass"),
        ({"enable_hr": True, "hr_scale": 16, "width": 8192}, BadInput, "hr_scale: '131072x8192'"),
        ({"eta": 1.5}, BadInput, "eta: 1.5"),
        ({"hr_sampler_name": "nope"}, NotFound, "sampler 'nope'"),
        ({"hr_scheduler": "nope"}, NotFound, "schedule type 'nope'"),
        ({"refiner_checkpoint": "nope"}, NotFound, "checkpoint 'nope'; known: tiny"),
    ],
)
def test_mistake_is_answered_by_name(
    values: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        prepare(values)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        ({"sd_model_checkpoint": "nope"}, NotFound),
        ({"CLIP_stop_at_last_layers": 13}, BadInput),
        ({"no_such_setting": 1}, NotFound),
        ({"grid_background_color": "nocolour"}, BadInput),
    ],
)
def test_bad_override_is_refused(overrides: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        prepare({}, overrides=overrides)


def test_overrides_are_resolved_into_the_request_alone() -> None:
    settings = Settings(None)
    settings.update({"eta_ddim": 0.5})
    request = prepare_request(
        {}, settings=settings.view(), catalogue=Shelf(), overrides={"emphasis": "Ignore"}
    )
    settings.update({"eta_ddim": 0.9})
    assert request.settings == {"eta_ddim": 0.5, "emphasis": "Ignore"}
    assert settings.view()["emphasis"] == "Original"


@pytest.mark.parametrize("name", HIRES_UPSCALERS)
def test_every_upscaler_is_accepted(name: str) -> None:
    request = prepare({"enable_hr": True, "hr_upscaler": name.lower()})
    assert request.params.hr_upscaler == name


def test_styles_are_resolved_and_unknown_ones_refused(tmp_path: Path) -> None:
    styles = StyleDatabase([tmp_path / "styles.csv"])
    styles.save(Style("ink", "ink drawing of {prompt}", "colour"))
    request = prepare({"styles": ["ink"]}, styles=styles)
    styles.delete("ink")
    assert request.style_texts == (("ink drawing of {prompt}", "colour"),)
    with pytest.raises(NotFound, match="style 'ink'"):
        prepare({"styles": ["ink"]}, styles=styles)
