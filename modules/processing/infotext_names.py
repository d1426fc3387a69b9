"""From the names and hashes in an infotext to the checkpoint and VAE that are here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from modules.core.errors import NotFound
from modules.params.infotext_read import CHECKPOINT, VAE, ReadParameters
from modules.processing.prepare import Finder


class VaeFiles(Protocol):
    """The VAE catalogue, as far as it is needed here."""

    def files(self) -> Mapping[str, Any]:
        """By file name with ending."""


def known_settings_of(
    read: ReadParameters, catalogue: Finder, vaes: VaeFiles
) -> tuple[dict[str, Any], dict[str, str]]:
    """(settings by key, what the infotext names and is not here by setting's key).

    The checkpoint becomes its title, the VAE its file name; those that are not here are left out.
    """
    finders: dict[str, Callable[[str], str]] = {
        CHECKPOINT: lambda name: str(catalogue.find(name).title),
        VAE: lambda name: _find_vae(name, vaes),
    }
    settings = {key: value for key, value in read.overrides.items() if key not in finders}
    missing: dict[str, str] = {}
    for key, find in finders.items():
        for name in read.names.get(key, ()):
            try:
                settings[key] = find(name)
                break
            except NotFound:
                missing[key] = name
        if key in settings:
            missing.pop(key, None)
    return settings, missing


def _find_vae(name: str, vaes: VaeFiles) -> str:
    if name in ("Automatic", "None"):
        return name
    for key in vaes.files():
        if name.lower() in (key.lower(), key.rpartition(".")[0].lower()):
            return key
    raise NotFound("VAE", name, vaes.files())
