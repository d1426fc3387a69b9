"""Chips such as "Clip skip: 2": settings that came with pasted parameters, for the next jobs only.

A chip is the setting's name in infotexts, a colon and the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modules.core.errors import BadInput
from modules.core.settings_table import SETTINGS

CHECKPOINT = "Model"


def write_chips(overrides: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Chips of the `overrides` (by key) that differ from the `current` settings.

    >>> write_chips({"CLIP_stop_at_last_layers": 2, "emphasis": "Original"},
    ...             {"CLIP_stop_at_last_layers": 1, "emphasis": "Original"})
    ['Clip skip: 2']
    """
    names = {key: name for name, key in _keys().items()}
    return [
        f"{names[key]}: {value}"
        for key, value in overrides.items()
        if key in names and current.get(key) != value
    ]


def read_chips(chips: Iterable[str] | None) -> dict[str, Any]:
    """Settings by key. Raises BadInput for a chip that names no setting.

    >>> read_chips(["Clip skip: 2", "Model: tiny"])
    {'CLIP_stop_at_last_layers': '2', 'sd_model_checkpoint': 'tiny'}
    """
    keys = _keys()
    found: dict[str, Any] = {}
    for chip in chips or ():
        name, colon, value = chip.partition(": ")
        if not colon or name not in keys:
            raise BadInput("override_settings", chip, "“Name: value” with a known name is expected")
        found[keys[name]] = _typed(keys[name], value)
    return found


def _keys() -> dict[str, str]:
    named = {row.infotext: row.key for row in SETTINGS if row.infotext}
    return {CHECKPOINT: "sd_model_checkpoint", **named}


def _typed(key: str, value: str) -> Any:
    """Booleans as such; check_setting turns numbers' text into numbers."""
    row = next(row for row in SETTINGS if row.key == key)
    return value == "True" if isinstance(row.default, bool) else value
