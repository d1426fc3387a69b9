"""Chips such as "Clip skip: 2": settings that came with pasted parameters, for the next jobs only.

A chip is the setting's name in infotexts, a colon and the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from modules.core.errors import BadInput
from modules.core.settings_table import SETTINGS

MODELS: Final = {"Model": "sd_model_checkpoint", "VAE": "sd_vae"}
MISSING: Final = " (missing)"
"""The end of a chip that names a model that is not here; it changes nothing."""


def write_chips(
    overrides: Mapping[str, Any],
    current: Mapping[str, Any],
    missing: Mapping[str, str] | None = None,
) -> list[str]:
    """Chips of the `overrides` (by key) that differ from the `current` settings.

    missing: models that are asked for and not here, by setting's key.

    >>> write_chips({"CLIP_stop_at_last_layers": 2, "emphasis": "Original"},
    ...             {"CLIP_stop_at_last_layers": 1, "emphasis": "Original"}, {"sd_vae": "x.pt"})
    ['VAE: x.pt (missing)', 'Clip skip: 2']
    """
    names = {key: name for name, key in _keys().items()}
    told = {key: f"{names[key]}: {value}{MISSING}" for key, value in (missing or {}).items()}
    for key, value in overrides.items():
        if key in names and current.get(key) != value:
            told[key] = f"{names[key]}: {value}"
    first = [told.pop(key) for key in MODELS.values() if key in told]
    return [*first, *told.values()]


def read_chips(chips: Iterable[str] | None) -> dict[str, Any]:
    """Settings by key. Raises BadInput for a chip that names no setting.

    >>> read_chips(["Clip skip: 2", "Model: tiny", "VAE: x.pt (missing)"])
    {'CLIP_stop_at_last_layers': '2', 'sd_model_checkpoint': 'tiny'}
    """
    keys = _keys()
    found: dict[str, Any] = {}
    for chip in chips or ():
        name, colon, value = chip.partition(": ")
        if not colon or name not in keys:
            raise BadInput("override_settings", chip, "“Name: value” with a known name is expected")
        if not (keys[name] in MODELS.values() and value.endswith(MISSING)):
            found[keys[name]] = _typed(keys[name], value)
    return found


def _keys() -> dict[str, str]:
    return MODELS | {row.infotext: row.key for row in SETTINGS if row.infotext}


def _typed(key: str, value: str) -> Any:
    """Booleans as such; check_setting turns numbers' text into numbers."""
    row = next(row for row in SETTINGS if row.key == key)
    return value == "True" if isinstance(row.default, bool) else value
