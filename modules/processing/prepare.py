"""From what a door was given to a Request: names checked, settings merged, everything resolved.

Called by the page, the REST API and the command line before a job is queued, so that a mistake
is answered at once. Must stay importable without torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from PIL import ImageColor
from pydantic import ValidationError

from modules.core.errors import BadInput, NotFound
from modules.core.settings import SettingsView
from modules.params.generation import MAX_SIDE, Txt2ImgParams
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
SMALLEST_SIDE = 8
"""Pixels; one latent."""


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
    _check_colour("grid_background_color", view["grid_background_color"])
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
        _check_hires_size(valid)
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


def _check_colour(key: str, value: str) -> None:
    try:
        ImageColor.getrgb(value)
    except ValueError:
        raise BadInput(key, value, "a colour such as #ffffff is expected") from None


def hires_sizes(params: Txt2ImgParams) -> tuple[tuple[int, int], tuple[int, int]]:
    """((width, height) to scale to, (width, height) of the result) in pixels.

    With both sides given the picture is scaled to cover them and cropped.
    """
    width, height = params.width, params.height
    to_x, to_y = params.hr_resize_x, params.hr_resize_y
    if not to_x and not to_y:
        size = (int(width * params.hr_scale), int(height * params.hr_scale))
        return size, size
    if not to_y:
        size = (to_x, to_x * height // width)
        return size, size
    if not to_x:
        size = (to_y * width // height, to_y)
        return size, size
    if width / height < to_x / to_y:
        return (to_x, to_x * height // width), (to_x, to_y)
    return (to_y * width // height, to_y), (to_x, to_y)


def _check_hires_size(params: Txt2ImgParams) -> None:
    """Raises BadInput for a second pass without a cell, or larger than a picture may be."""
    for size in hires_sizes(params):
        if min(size) < SMALLEST_SIDE or max(size) > MAX_SIDE:
            text = f"{size[0]}x{size[1]}"
            field = "hr_resize_x" if params.hr_resize_x or params.hr_resize_y else "hr_scale"
            allowed = f"sides of the second pass may have {SMALLEST_SIDE} to {MAX_SIDE} pixels"
            raise BadInput(field, text, allowed)


def _known(what: str, name: str, names: Sequence[str] | Iterable[str]) -> str:
    by_lower = {known.lower(): known for known in names}
    if name.lower() not in by_lower:
        raise NotFound(what, name, by_lower.values())
    return by_lower[name.lower()]
