"""The user's settings: read from and written to `config.json`, and frozen views of them.

Knows the table of settings; must not know who uses them, nor how the file is kept
(`settings_file`). Unknown keys of the file are kept, so a config.json that came from A1111 loses
nothing.
"""

from __future__ import annotations

import json
import logging
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modules.core.errors import BadInput, NotFound
from modules.core.settings_file import change_values, read_values
from modules.core.settings_table import SETTINGS, Setting

log = logging.getLogger(__name__)

TABLE: Mapping[str, Setting] = MappingProxyType({row.key: row for row in SETTINGS})


def known_settings() -> dict[str, Any]:
    """Defaults of all settings: ours, and A1111's that are kept without an effect here."""
    text = Path(__file__).with_name("a1111_settings.json").read_text(encoding="utf-8")
    kept: dict[str, Any] = json.loads(text)
    return kept | {row.key: row.default for row in SETTINGS}


class SettingsView(Mapping[str, Any]):
    """An unchangeable snapshot: what a request sees from its first stage to its last."""

    def __init__(self, defaults: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        self._defaults = defaults
        self._values = MappingProxyType(dict(values))

    def __getitem__(self, key: str) -> Any:
        return self._values[key] if key in self._values else self._defaults[key]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._defaults, **self._values})

    def __len__(self) -> int:
        return len({**self._defaults, **self._values})

    def changed(self) -> dict[str, Any]:
        """Only the values that differ from the defaults; enough to make the same view again."""
        return {k: v for k, v in self._values.items() if self._defaults.get(k, _MISSING) != v}

    def with_overrides(self, overrides: Mapping[str, Any]) -> SettingsView:
        """A view in which `overrides` win. Raises NotFound and BadInput, as `check_setting`."""
        checked = {key: check_setting(key, value, self) for key, value in overrides.items()}
        return SettingsView(self._defaults, {**self._values, **checked})


class Settings:
    """The settings of a running Easel; safe to use from several threads."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._defaults = known_settings()
        self._unusable: dict[str, Any] = {}
        self._values = self._checked(read_values(file) if file else {})

    def _checked(self, values: dict[str, Any]) -> dict[str, Any]:
        """The usable values; the others stay in the file, and their defaults are used."""
        usable = {}
        for key, value in values.items():
            try:
                usable[key] = check_setting(key, value, values) if key in TABLE else value
            except BadInput as error:
                log.warning("In %s, %s The default is used.", self._file, error)
                self._unusable[key] = value
        return usable

    def view(self) -> SettingsView:
        """A snapshot of all settings as they are now."""
        with self._lock:
            return SettingsView(self._defaults, self._values)

    def update(self, changes: Mapping[str, Any]) -> set[str]:
        """Check and store all of `changes`, or none; returns the keys whose value changed here.

        The file gets all of `changes`, since another program on the same folder may have written
        other values; what it wrote under other keys stays, and is not taken over before the next
        start.
        Raises NotFound for an unknown key, BadInput for a value of the wrong kind, OutOfSpace
        when the file cannot be written, Busy when another program does not let go of it.
        """
        before = self.view()
        checked = {key: check_setting(key, value, before) for key, value in changes.items()}
        changed = {key for key, value in checked.items() if before[key] != value}
        with self._lock:
            values = self._without_defaults({**self._values, **checked})
            kept = {k: v for k, v in self._unusable.items() if k not in checked}
            if self._file:
                stored = self._without_defaults(checked)
                dropped = checked.keys() - stored.keys()
                change_values(self._file, stored, dropped, otherwise=kept | values)
            self._unusable = kept
            self._values = values
        return changed

    def _without_defaults(self, values: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in values.items() if self._defaults.get(k, _MISSING) != v}


def check_setting(key: str, value: Any, current: Mapping[str, Any]) -> Any:
    """The value in its setting's type. Raises NotFound and BadInput."""
    row = TABLE.get(key)
    if row is None:
        if key not in current:
            raise NotFound("setting", key, current)
        return value
    if row.default is None:
        return _check_text(key, value, optional=True)
    if isinstance(row.default, bool):
        return _check_bool(key, value)
    if isinstance(row.default, int | float):
        return _check_number(row, value)
    if isinstance(row.default, list):
        return _check_list(key, value)
    text = _check_text(key, value)
    if row.choices and text not in row.choices:
        raise BadInput(key, value, f"allowed: {', '.join(row.choices)}")
    return text


_MISSING = object()
_BLANKS = "\t\n\r"
"""Control characters that texts may hold."""


def _check_text(key: str, value: Any, *, optional: bool = False) -> str | None:
    if optional and value is None:
        return None
    if not isinstance(value, str):
        raise BadInput(key, value, "text is expected")
    if any(unicodedata.category(one) == "Cc" and one not in _BLANKS for one in value):
        raise BadInput(key, value, "control characters are not allowed")
    return value


def _check_list(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadInput(key, value, "a list is expected")
    for one in value:
        if isinstance(one, str):
            _check_text(key, one)
    return value


def _check_bool(key: str, value: Any) -> bool:
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise BadInput(key, value, "true or false is expected")


def _check_number(row: Setting, value: Any) -> int | float:
    kind = type(row.default)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise BadInput(row.key, value, "a number is expected") from None
    if kind is int and not number.is_integer():
        raise BadInput(row.key, value, "a whole number is expected")
    low = float("-inf") if row.minimum is None else row.minimum
    high = float("inf") if row.maximum is None else row.maximum
    if not low <= number <= high:
        raise BadInput(row.key, value, f"allowed: {low:g} to {high:g}")
    return int(number) if kind is int else number
