"""The names that a form's menus offer, by the table that a parameter's `Choice` names."""

from __future__ import annotations

from modules.core.app import App
from modules.core.errors import NotFound
from modules.processing.prepare import LATENT_UPSCALERS
from modules.sampling.table import SAMPLERS, SCHEDULERS

CHECKPOINTS = "checkpoints"
FROM_FILES = (CHECKPOINTS, "upscalers", "hires_upscalers")
"""Tables that change with the files that are there, in forms."""
SOURCES = ("samplers", "schedulers", "upscalers", "hires_upscalers", "styles", "vaes", CHECKPOINTS)


def menu_names(source: str, app: App) -> list[str]:
    """The names of table `source` as they are now. Raises NotFound for an unknown table."""
    match source:
        case "samplers":
            return [row.name for row in SAMPLERS]
        case "schedulers":
            return [row.label for row in SCHEDULERS]
        case "hires_upscalers":
            return [*LATENT_UPSCALERS, *app.models.upscalers.names()]
        case "upscalers":
            return app.models.upscalers.names()
        case "styles":
            return app.styles.choices()
        case "vaes":
            return list(app.models.vaes.files())
        case "checkpoints":
            return [row.title for row in app.models.catalogue.checkpoints()]
    raise NotFound("table of choices", source, SOURCES)
