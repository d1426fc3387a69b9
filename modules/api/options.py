"""GET and POST /sdapi/v1/options: all settings, changed all together or not at all."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body

from modules.api.generate import allowed_settings
from modules.api.route import EaselApp, Route
from modules.core.app import App
from modules.core.settings import SettingsView
from modules.model_manager import ModelChoice


def get_options(app: EaselApp) -> dict[str, Any]:
    """Every setting, those of A1111 that have no effect here included.

    Where no checkpoint was chosen, the loaded one is named.
    """
    options, state = dict(app.settings.view()), app.models.state
    if options["sd_model_checkpoint"] is None and state.status == "ready":
        options["sd_model_checkpoint"] = state.title
    return options


def set_options(app: EaselApp, changes: Annotated[dict[str, Any], Body()]) -> None:
    """Change settings. All are checked before any is stored; a new model is loaded first.

    Settings that clients must not change stay as they are, without a complaint.
    """
    before = app.settings.view()
    allowed = allowed_settings(changes, app)
    name = allowed.get("sd_model_checkpoint")
    if name and name != before["sd_model_checkpoint"]:
        allowed["sd_model_checkpoint"] = app.models.catalogue.find(str(name)).title
    after = before.with_overrides(allowed)
    if _needs_load(app, before, after):
        load_chosen(app, after)
    app.settings.update(allowed)


def load_chosen(app: App, settings: SettingsView) -> None:
    """Load the model that the settings name, and wait for it and for whoever uses another.

    Raises NotFound, or ModelError; the models loaded before stay.
    """
    with app.models.use(ModelChoice.from_settings(settings)):
        pass


ROUTES = (
    Route("GET", "/sdapi/v1/options", get_options),
    Route("POST", "/sdapi/v1/options", set_options),
)


def _needs_load(app: App, before: SettingsView, after: SettingsView) -> bool:
    """Whether another model or VAE is named than before, and not loaded already."""
    if not app.models.catalogue.checkpoints():
        return False
    if before["sd_vae"] != after["sd_vae"]:
        return True
    name, state = after["sd_model_checkpoint"], app.models.state
    is_loaded = state.status == "ready" and state.title == name
    return bool(name) and name != before["sd_model_checkpoint"] and not is_loaded
