"""From what a door was given to a Request: names checked, settings merged, everything resolved.

Called by the page, the REST API and the command line before a job is queued, so that a mistake
is answered at once. Must stay importable without torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from PIL import ImageColor
from pydantic import ValidationError

from modules.core.errors import BadInput, NotFound
from modules.core.settings import SettingsView
from modules.images import decode_base64
from modules.params.generation import MAX_SIDE, GenerationParams, Txt2ImgParams
from modules.params.img2img import Img2ImgParams
from modules.params.request import Kind, Params, Request
from modules.params.soft_inpaint import read_soft_inpaint
from modules.params.styles import StyleDatabase
from modules.postprocess import PIXEL_UPSCALERS, Upscalers
from modules.processing.pictures import read_sources
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

HIRES_UPSCALERS: tuple[str, ...] = (*LATENT_UPSCALERS, *PIXEL_UPSCALERS)
"""Those of hires fix that need no file."""

DEFAULT_SAMPLER = "DPM++ 2M"
SMALLEST_SIDE = 8
"""Pixels; one latent."""
OLD_FIRST_PASS_PIXELS = 512 * 512
OLD_FIRST_PASS_STEP = 64


AnyParams = TypeVar("AnyParams", bound=GenerationParams)


class Finder(Protocol):
    """The model catalogue, as far as a request needs it."""

    def find(self, name: str) -> Any:
        """The checkpoint of that title, name, file name or hash. Raises NotFound."""


def prepare_request(
    params: Mapping[str, Any] | Params,
    *,
    kind: Kind = "txt2img",
    settings: SettingsView,
    catalogue: Finder,
    styles: StyleDatabase | None = None,
    upscalers: Upscalers | None = None,
    overrides: Mapping[str, Any] | None = None,
    **envelope: Any,
) -> Request:
    """A Request that says everything; `envelope` holds the other fields of Request.

    upscalers: with model files; None knows those without. Raises BadInput for a value out of
    bounds or a picture that cannot be read, NotFound for an unknown sampler, schedule, upscaler,
    checkpoint, style or setting, ModelError for an upscaler's file that is refused.
    """
    view = settings.with_overrides(overrides or {})
    if str(envelope.get("script_name") or "none").lower() == "none":
        envelope["script_name"] = None
    checked: Params
    if kind == "img2img" or isinstance(params, Img2ImgParams):
        checked = _prepared_img2img(params, view, envelope.get("alwayson_scripts") or {})
        if view["upscaler_for_img2img"] and upscalers is not None:
            upscalers.check(view["upscaler_for_img2img"])
    else:
        checked = _prepared_txt2img(params, view, upscalers)
    _check_colour("grid_background_color", view)
    _check_checkpoints(checked, (overrides or {}).get("sd_model_checkpoint"), catalogue)
    return Request(
        params=checked,
        settings=view.changed(),
        style_texts=style_texts(checked.styles, styles),
        **envelope,
    )


def _prepared_txt2img(
    params: Mapping[str, Any] | Params, view: SettingsView, upscalers: Upscalers | None
) -> Txt2ImgParams:
    checked = check_params(params, upscalers)
    if checked.enable_hr and view["use_old_hires_fix_width_height"]:
        checked = check_params(_as_before_1_0(checked), upscalers)
    if checked.firstpass_image:
        decode_base64(checked.firstpass_image, field="firstpass_image")
    return checked


def _prepared_img2img(
    params: Mapping[str, Any] | Params, view: SettingsView, scripts: Mapping[str, Any]
) -> Img2ImgParams:
    checked = check_img2img(params)
    read_sources(checked)
    read_soft_inpaint(scripts)
    _check_colour("img2img_background_color", view)
    return checked


def _check_checkpoints(params: Params, own: Any, catalogue: Finder) -> None:
    named = {
        "checkpoint": own,
        "refiner checkpoint": params.refiner_checkpoint,
        "hires checkpoint": getattr(params, "hr_checkpoint_name", None),
    }
    for what, name in named.items():
        if name and name not in ("None", "Use same checkpoint"):
            try:
                catalogue.find(name)
            except NotFound as error:
                raise NotFound(what, name, error.choices) from error


def style_texts(names: Sequence[str], styles: StyleDatabase | None) -> tuple[tuple[str, str], ...]:
    """(prompt, negative prompt) of each named style. Raises NotFound.

    Dividers of the menu name no style and are left out.
    """
    if styles is None:
        return ()
    dividers = set(styles.choices()) - styles.styles.keys()
    found = [styles.get(name) for name in names if name not in dividers]
    return tuple((style.prompt, style.negative_prompt) for style in found)


def check_img2img(params: Mapping[str, Any] | Params) -> Img2ImgParams:
    """Validated parameters of img2img with canonical names of sampler and schedule.

    Several pictures to start from make a batch of as many (A1111 1.10 behaviour).
    """
    valid = _validated(Img2ImgParams, _values(params))
    sampler, schedule = find_names(valid.sampler_name or DEFAULT_SAMPLER, valid.scheduler)
    changes: dict[str, Any] = {"sampler_name": sampler, "scheduler": schedule}
    pictures = len(valid.init_images or ())
    if pictures > valid.batch_size:
        allowed = f"at most batch_size ({valid.batch_size}) pictures can be given"
        raise BadInput("init_images", f"{pictures} pictures", allowed)
    if pictures > 1:
        changes["batch_size"] = pictures
    return valid.model_copy(update=changes)


def check_params(
    params: Mapping[str, Any] | Params, upscalers: Upscalers | None = None
) -> Txt2ImgParams:
    """Validated parameters with canonical names of samplers, schedules and upscalers."""
    valid = _validated(Txt2ImgParams, _values(params))
    if valid.enable_hr and valid.firstphase_width and valid.firstphase_height:
        first = {"width": valid.firstphase_width, "height": valid.firstphase_height}
        used = {"firstphase_width": 0, "firstphase_height": 0}
        valid = _validated(Txt2ImgParams, valid.model_dump() | first | used)
    sampler, schedule = find_names(valid.sampler_name or DEFAULT_SAMPLER, valid.scheduler)
    changes: dict[str, Any] = {"sampler_name": sampler, "scheduler": schedule}
    if valid.hr_sampler_name not in (None, "Use same sampler"):
        hr_sampler, hr_schedule = find_names(str(valid.hr_sampler_name), valid.hr_scheduler)
        changes |= {"hr_sampler_name": hr_sampler, "hr_scheduler": hr_schedule}
    elif valid.hr_scheduler not in (None, "Use same scheduler"):
        changes["hr_scheduler"] = find_names(sampler, valid.hr_scheduler)[1]
    if valid.enable_hr:
        _check_hires_size(valid)
        changes["hr_upscaler"] = hires_upscaler(valid.hr_upscaler or "Latent", upscalers)
    return valid.model_copy(update=changes)


def hires_upscaler(name: str, upscalers: Upscalers | None) -> str:
    """The name of an upscaler of hires fix as the lists have it; latent ones go first.

    Raises NotFound, ModelError for a file that is refused.
    """
    if upscalers is None or name.lower() in map(str.lower, LATENT_UPSCALERS):
        return _known("upscaler", name, HIRES_UPSCALERS)
    try:
        return upscalers.check(name)
    except NotFound as error:
        raise NotFound("upscaler", name, (*LATENT_UPSCALERS, *error.choices)) from error


def _values(params: Mapping[str, Any] | Params) -> dict[str, Any]:
    return params.model_dump() if isinstance(params, GenerationParams) else dict(params)


def _validated(model: type[AnyParams], values: dict[str, Any]) -> AnyParams:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise bad_input(error) from error


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


def _as_before_1_0(params: Txt2ImgParams) -> Txt2ImgParams:
    """Hires fix as it was at first: width and height are the result's, and the first pass has
    about 512 x 512 pixels in whole steps of 64 (A1111 1.10, use_old_hires_fix_width_height)."""
    width, height = params.width, params.height
    scale = math.sqrt(OLD_FIRST_PASS_PIXELS / (width * height))
    sides = {
        "width": math.ceil(scale * width / OLD_FIRST_PASS_STEP) * OLD_FIRST_PASS_STEP,
        "height": math.ceil(scale * height / OLD_FIRST_PASS_STEP) * OLD_FIRST_PASS_STEP,
    }
    return params.model_copy(update={**sides, "hr_resize_x": width, "hr_resize_y": height})


def _check_colour(key: str, settings: SettingsView) -> None:
    try:
        ImageColor.getrgb(settings[key])
    except ValueError:
        raise BadInput(key, settings[key], "a colour such as #ffffff is expected") from None


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
