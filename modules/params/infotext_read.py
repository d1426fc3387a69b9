"""From an infotext to parameters and settings, in our names and types.

What the text looks like stands in `infotext_text`, what older programs meant in `dialects`; here
stands which key is which parameter or setting, and what an absent one means.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modules.core.settings_table import SETTINGS, Setting
from modules.params import dialects, infotext_text
from modules.params.face import Parameter, Radio, parameters
from modules.params.generation import GenerationParams, Txt2ImgParams

CHECKPOINT: Final = "sd_model_checkpoint"
VAE: Final = "sd_vae"


@dataclass(frozen=True, slots=True)
class ReadParameters:
    """What an infotext says, in our names."""

    params: dict[str, Any]
    """By REST name, typed as the parameter classes want; only what the text says."""
    overrides: dict[str, Any]
    """Settings that the text says, by key; checkpoint and VAE as the text names them."""
    rest: dict[str, str]
    """What has no place here, as it stood."""
    names: dict[str, tuple[str, ...]]
    """For checkpoint and VAE, by their setting's key: hash and name, whichever the text says."""
    refused: dict[str, str]
    """Part of `rest`: what has a place here, but not with such a value."""
    told: tuple[str, ...] = ()
    """Sentences for the user about what an older text meant."""


def read_infotext(
    text: str,
    *,
    model: type[GenerationParams] = Txt2ImgParams,
    has_backcompat: bool = True,
    skip: Collection[str] = (),
) -> ReadParameters:
    """Parameters and settings of an infotext, with A1111's meaning of what it leaves out.

    model: the class whose parameters are wanted. has_backcompat: setting auto_backcompat.
    skip: keys to pass over (setting infotext_skip_pasting). Never raises; what has no parameter
    or setting stays in `rest`.
    """
    stated = infotext_text.parse(text, fill_defaults=False, has_backcompat=has_backcompat)
    known = _parameters(model).keys() | _setting_rows().keys() | _SPECIAL.keys() | _SILENT
    told = dialects.modernise(stated, known, has_backcompat=has_backcompat)
    rest = {name: str(value) for name, value in stated.items() if name not in known}
    _drop_defaults_in(rest)
    infotext_text.fill(stated)
    for name in skip:
        stated.pop(name, None)
    names = {
        key: tuple(str(stated[name]) for name in keys if stated.get(name))
        for key, keys in _MODEL_KEYS.items()
    }
    overrides = {key: found[0] for key, found in names.items() if found}
    refused: dict[str, str] = {}
    overrides |= _read_settings(stated, refused)
    params = _read_params(stated, model, refused)
    return ReadParameters(params, overrides, rest | refused, names, refused, tuple(told))


_MODEL_KEYS: Final = {CHECKPOINT: ("Model hash", "Model"), VAE: ("VAE",)}

_SPECIAL: Final = {
    "Size-1": "width",
    "Size-2": "height",
    "Seed resize from-1": "seed_resize_from_w",
    "Seed resize from-2": "seed_resize_from_h",
    "Prompt": "prompt",
}
"""Keys whose parameter has another name, or none, in infotexts."""

_SILENT: Final = frozenset(
    ("Model", "Model hash", "VAE", "VAE hash", "Version", "User", "Lora hashes", "TI hashes",
     "Hypernet", "Hypernet strength", "Hypernet hash", "Batch size", "Batch pos", "Hashes", "App",
     "Backend", "Parser", "Civitai resources", "Civitai metadata", "Created Date")
)  # fmt: skip
"""Keys that are used elsewhere, or that only inform."""


def _parameters(model: type[GenerationParams]) -> dict[str, Parameter]:
    return {p.face.infotext: p for p in parameters(model) if p.face.infotext}


def _setting_rows() -> dict[str, Setting]:
    return {row.infotext: row for row in SETTINGS if row.infotext}


def _drop_defaults_in(rest: dict[str, str]) -> None:
    """What says no more than its absence would is not worth a word."""
    for name, value in infotext_text.DEFAULTS.items():
        if rest.get(name) == str(value):
            del rest[name]


def _read_params(
    stated: Mapping[str, Any], model: type[GenerationParams], refused: dict[str, str]
) -> dict[str, Any]:
    """Adds to `refused` what is no value of its parameter."""
    wanted = {key: (name, stated[key]) for key, name in _SPECIAL.items() if key in stated}
    for key, parameter in _parameters(model).items():
        if key in stated:
            wanted[key] = (parameter.name, _plain(parameter, stated[key]))
    found: dict[str, Any] = {}
    for key, (name, value) in wanted.items():
        if not _take(found, model, name, value):
            refused[key] = str(stated[key])
    if "enable_hr" in model.model_fields:
        found["enable_hr"] = (
            "Hires upscaler" in stated
            or "Hires upscale" in stated
            or bool(found.get("hr_resize_x") or found.get("hr_resize_y"))
        )
    return found


def _plain(parameter: Parameter, value: Any) -> Any:
    """The value that a label stands for, where infotexts hold labels."""
    widget = parameter.face.widget
    is_label = isinstance(widget, Radio) and value in widget.labels
    return widget.value(str(value)) if isinstance(widget, Radio) and is_label else value


def _take(found: dict[str, Any], model: type[GenerationParams], name: str, value: Any) -> bool:
    """Store the value in its parameter's type; False if it is none."""
    try:
        checked = model.model_validate({name: value})
    except ValueError:
        return False
    found[name] = getattr(checked, name)
    return True


def _read_settings(stated: Mapping[str, Any], refused: dict[str, str]) -> dict[str, Any]:
    """Adds to `refused` what is no value of its setting."""
    found: dict[str, Any] = {}
    for infotext_name, row in _setting_rows().items():
        if infotext_name not in stated:
            continue
        value = stated[infotext_name]
        try:
            if isinstance(row.default, bool):
                found[row.key] = str(value).lower() == "true"
            elif isinstance(row.default, int | float):
                found[row.key] = type(row.default)(float(value))
            else:
                found[row.key] = value
        except (ValueError, OverflowError):
            refused[infotext_name] = str(value)
    return found
