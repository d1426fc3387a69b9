"""From what a door was given to a Request: names checked, settings merged, everything resolved.

Called by the page, the REST API and the command line before a job is queued, so that a mistake
is answered at once. Must stay importable without torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from pydantic import ValidationError

from modules.core.errors import BadInput, NotFound
from modules.core.settings import SettingsView
from modules.params.generation import Txt2ImgParams
from modules.params.request import Request
from modules.params.styles import StyleDatabase
from modules.sampling.table import SAMPLERS, SCHEDULERS

LATENT_UPSCALERS: Mapping[str, tuple[str, bool]] = {
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}
"""Name → (interpolation mode, antialias) of torch's interpolate; A1111 1.10's list."""

PIXEL_UPSCALERS: tuple[str, ...] = ("None", "Lanczos", "Nearest")
HIRES_UPSCALERS: tuple[str, ...] = (*LATENT_UPSCALERS, *PIXEL_UPSCALERS)

DEFAULT_SAMPLER = "DPM++ 2M"


class Finder(Protocol):
    """The model catalogue, as far as a request needs it."""

    def find(self, name: str) -> Any:
        """The checkpoint of that title, name, file name or hash. Raises NotFound."""


def prepare_request(
    params: Mapping[str, Any] | Txt2ImgParams,
    *,
    settings: SettingsView,
    catalogue: Finder,
    styles: StyleDatabase | None = None,
    overrides: Mapping[str, Any] | None = None,
    **envelope: Any,
) -> Request:
    """A Request that says everything; `envelope` holds the other fields of Request.

    Raises BadInput for a value out of bounds, NotFound for an unknown sampler, schedule,
    upscaler, checkpoint, style or setting.
    """
    checked = check_params(params)
    view = settings.with_overrides(overrides or {})
    checkpoint = (overrides or {}).get("sd_model_checkpoint")
    for name in (checkpoint, checked.refiner_checkpoint, checked.hr_checkpoint_name):
        if name and name not in ("None", "Use same checkpoint"):
            catalogue.find(name)
    return Request(
        params=checked,
        settings=view.changed(),
        style_texts=_style_texts(checked.styles, styles),
        **envelope,
    )


def _style_texts(names: Sequence[str], styles: StyleDatabase | None) -> tuple[tuple[str, str], ...]:
    """Dividers of the menu name no style and are left out."""
    if styles is None:
        return ()
    dividers = set(styles.choices()) - styles.styles.keys()
    found = [styles.get(name) for name in names if name not in dividers]
    return tuple((style.prompt, style.negative_prompt) for style in found)


def check_params(params: Mapping[str, Any] | Txt2ImgParams) -> Txt2ImgParams:
    """Validated parameters with canonical names of samplers, schedules and upscalers."""
    values = params.model_dump() if isinstance(params, Txt2ImgParams) else dict(params)
    try:
        valid = Txt2ImgParams.model_validate(values)
    except ValidationError as error:
        raise bad_input(error) from error
    sampler, schedule = find_names(valid.sampler_name or DEFAULT_SAMPLER, valid.scheduler)
    changes: dict[str, Any] = {"sampler_name": sampler, "scheduler": schedule}
    if valid.hr_sampler_name not in (None, "Use same sampler"):
        hr_sampler, hr_schedule = find_names(str(valid.hr_sampler_name), valid.hr_scheduler)
        changes |= {"hr_sampler_name": hr_sampler, "hr_scheduler": hr_schedule}
    elif valid.hr_scheduler not in (None, "Use same scheduler"):
        changes["hr_scheduler"] = find_names(sampler, valid.hr_scheduler)[1]
    if valid.enable_hr:
        changes["hr_upscaler"] = _known("upscaler", valid.hr_upscaler or "Latent", HIRES_UPSCALERS)
    return valid.model_copy(update=changes)


def find_names(sampler: str, schedule: str | None) -> tuple[str, str]:
    """Canonical sampler name and schedule label.

    Aliases, other cases and A1111's names from before 1.6 ("DPM++ 2M Karras") are understood.
    """
    schedules = {
        alias.lower(): row.label
        for row in SCHEDULERS
        for alias in (row.name, row.label, *row.aliases)
    }
    samplers = {alias.lower(): row.name for row in SAMPLERS for alias in (*row.aliases, row.name)}
    label = "Automatic"
    if schedule and schedule != "Use same scheduler":
        found = schedules.get(schedule.lower())
        if found is None:
            raise NotFound("schedule type", schedule, [row.label for row in SCHEDULERS])
        label = found
    name = samplers.get(sampler.lower())
    if name is None and (old := re.fullmatch(r"(.+) (karras|exponential)", sampler.lower())):
        name = samplers.get(old[1])
        label = schedules[old[2]] if label == "Automatic" else label
    if name is None:
        raise NotFound("sampler", sampler, [row.name for row in SAMPLERS])
    return name, label


def bad_input(error: ValidationError) -> BadInput:
    """The first complaint of pydantic as an error that names field, value and what is allowed."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "parameters"
    message = first["msg"]
    return BadInput(field, first.get("input"), message[:1].lower() + message[1:])


def _known(what: str, name: str, names: Sequence[str] | Iterable[str]) -> str:
    by_lower = {known.lower(): known for known in names}
    if name.lower() not in by_lower:
        raise NotFound(what, name, by_lower.values())
    return by_lower[name.lower()]
