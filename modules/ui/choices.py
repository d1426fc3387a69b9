"""The names that a form's menus offer, by the table that a parameter's `Choice` names."""

from __future__ import annotations

from modules.core.errors import NotFound
from modules.params.styles import StyleDatabase
from modules.processing.prepare import HIRES_UPSCALERS
from modules.sampling.table import SAMPLERS, SCHEDULERS

SOURCES = ("samplers", "schedulers", "hires_upscalers", "styles")


def menu_names(source: str, styles: StyleDatabase) -> list[str]:
    """The names of table `source`, in its order. Raises NotFound for an unknown table."""
    match source:
        case "samplers":
            return [row.name for row in SAMPLERS]
        case "schedulers":
            return [row.label for row in SCHEDULERS]
        case "hires_upscalers":
            return list(HIRES_UPSCALERS)
        case "styles":
            return styles.choices()
    raise NotFound("table of choices", source, SOURCES)
