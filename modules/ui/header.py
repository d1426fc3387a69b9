"""The bar on top of the page: checkpoint, state of the model, queue, light or dark."""

from __future__ import annotations

import html
import json
from contextlib import suppress
from typing import Any, Final

import gradio as gr

from modules.core.app import VERSION, App
from modules.core.errors import EaselError, NotFound
from modules.model_manager import Checkpoint, ModelChoice
from modules.model_manager.native_size import DEFAULT_SIZE
from modules.ui.events import BROWSER, QUIET, TELLING

PAGE_SETTINGS: Final = (
    "keyedit_precision_attention",
    "keyedit_precision_extra",
    "keyedit_delimiters",
    "live_preview_refresh_period",
    "disable_token_counters",
    "canvas_hotkey_zoom",
    "canvas_hotkey_adjust",
    "canvas_hotkey_shrink_brush",
    "canvas_hotkey_grow_brush",
    "canvas_hotkey_move",
    "canvas_hotkey_fullscreen",
    "canvas_hotkey_reset",
    "canvas_hotkey_overlap",
)
"""Settings that the page's scripts follow."""

_BRAND = '<a class="easel-brand" href="./" title="Reload the page">Easel</a>'
_STATE = """
<div class="easel-status">
  <span id="easel_connection" role="status" hidden></span>
  <span id="easel_model_state" role="status" title="State of the model">model: …</span>
  <button id="easel_queue_button" type="button" aria-expanded="false"
    aria-controls="easel_queue" title="Show the queue">queue
    <b id="easel_queue_count">0</b></button>
  <button id="easel_theme_button" type="button" aria-label="Dark or light"
    title="Dark or light">☾</button>
</div>
"""


class Header:
    """The bar and its events; one per page."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.checkpoint: gr.Dropdown
        self.state: gr.Textbox

    def build(self) -> None:
        """Make the components in gradio's current layout block."""
        with gr.Row(elem_id="quicksettings", elem_classes=["easel-header"]):
            gr.HTML(_BRAND, elem_classes=["easel-brand-block"])
            self.checkpoint = gr.Dropdown(
                *self._menu(),
                label="Checkpoint",
                elem_id="setting_sd_model_checkpoint",
                elem_classes=["easel-inline"],
                interactive=True,
                scale=1,
            )
            refresh = gr.Button(
                "Refresh",
                elem_id="refresh_sd_model_checkpoint",
                elem_classes=["tool", "icon-refresh"],
            )
            gr.HTML(_STATE, elem_classes=["easel-status-block"])
        self.notice = gr.HTML(self._no_model(), elem_id="easel_no_model")
        self.state = gr.Textbox(self.page_state(), visible="hidden", elem_id="easel_page_state")
        wanted = gr.Textbox(visible="hidden", elem_id="easel_wanted_checkpoint")
        choose = gr.Button("Choose", visible="hidden", elem_id="easel_choose_checkpoint")
        outputs = [self.checkpoint, self.notice, self.state]
        self.refreshed = refresh.click(self.refresh, outputs=outputs, **QUIET)
        self.checkpoint.input(
            self.choose, inputs=[self.checkpoint], outputs=outputs, preprocess=False, **TELLING
        )
        choose.click(  # a card was pressed
            self.choose,
            inputs=[wanted],
            outputs=outputs,
            js="() => [easel.cards.wanted()]",
            preprocess=False,
            **TELLING,
        ).then(js="() => easel.cards.remark()", **BROWSER)

    def load(self) -> tuple[Any, Any, str]:
        """Values of checkpoint menu, notice and page state as they are now."""
        names, value = self._menu()
        return (
            gr.update(choices=names, value=value),
            gr.update(value=self._no_model()),
            self.page_state(),
        )

    def refresh(self) -> tuple[Any, Any, str]:
        """Look for checkpoint files again."""
        self._app.models.catalogue.refresh()
        return self.load()

    def choose(self, title: str | None) -> tuple[Any, Any, str]:
        """Make a checkpoint the one that is used, and load it in the background.

        One that cannot be loaded changes nothing; the reason is shown.
        """
        if title:
            try:
                self._choose(title)
            except EaselError as error:
                gr.Warning(str(error))
        return self.load()

    def _choose(self, title: str) -> None:
        models, settings = self._app.models, self._app.settings
        before = settings.view()
        chosen = models.catalogue.find(title).title
        after = ModelChoice.from_settings(before.with_overrides({"sd_model_checkpoint": chosen}))
        models.check(after)
        settings.update({"sd_model_checkpoint": chosen})

        def take_back() -> None:
            """Only where nobody has chosen another one since."""
            if settings.view()["sd_model_checkpoint"] == chosen:
                settings.update({"sd_model_checkpoint": before["sd_model_checkpoint"]})

        models.preload(after, take_back)

    def page_state(self) -> str:
        """JSON of what the page's scripts follow: settings, and what the chosen model is like."""
        settings = self._app.settings.view()
        checkpoint = self._chosen()
        return json.dumps(
            {
                "version": VERSION,
                "native_size": checkpoint.native_size if checkpoint else DEFAULT_SIZE,
                "edits": checkpoint is not None and checkpoint.is_edit_model,
                "settings": {key: settings[key] for key in PAGE_SETTINGS},
            }
        )

    def _menu(self) -> tuple[list[str], str | None]:
        titles = [row.title for row in self._app.models.catalogue.checkpoints()]
        chosen = self._chosen()
        return titles, chosen.title if chosen else None

    def _chosen(self) -> Checkpoint | None:
        """The checkpoint that a job would use now; None where there is none."""
        name = self._app.settings.view()["sd_model_checkpoint"] or None
        for wanted in (ModelChoice(name), ModelChoice()):
            with suppress(NotFound):
                return self._app.models.resolve(wanted).checkpoint
        return None

    def _no_model(self) -> str:
        """How to get a model where there is none, what suits the chosen one; mostly empty."""
        if self._app.models.catalogue.checkpoints():
            chosen = self._chosen()
            suggestion = chosen.suggestion if chosen else None
            if suggestion is None:
                return ""
            return f'<div class="easel-banner" role="note">{html.escape(suggestion.words)}</div>'
        folder = html.escape(str(self._app.paths.checkpoints[0]))
        return (
            '<div class="easel-banner" role="note"><b>There is no model yet.</b> Put a Stable '
            "Diffusion checkpoint (a <code>.safetensors</code> file) into "
            f"<code>{folder}</code> and press ⟳ beside the checkpoint menu, or get one in the "
            "Models tab.</div>"
        )
