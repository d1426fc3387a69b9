"""The scripts of a tab: what the menu offers, and what a job gets from the fields."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from modules.core.app import App
from modules.core.errors import BadInput
from modules.ui.events import in_event_loop
from modules.ui.scripts import ScriptPanel, as_argument


def built(app: App, tab: str) -> ScriptPanel:
    def build() -> ScriptPanel:
        panel = ScriptPanel(app.scripts, tab)
        with gr.Blocks():
            panel.build()
        return panel

    return in_event_loop(build)


def values(panel: ScriptPanel, *given: Any) -> dict[Any, Any]:
    return dict(zip(panel.components, given, strict=True))


def test_the_menu_has_the_scripts_of_its_tab(app: App) -> None:
    panel = built(app, "img2img")
    menu = panel.components[0]
    assert [label for label, _ in menu.choices] == ["None", "Only pictures!", "Two seeds"]
    assert built(app, "inpaint").components == []


def test_the_chosen_script_gets_its_values(app: App) -> None:
    panel = built(app, "txt2img")
    assert panel.read(values(panel, "Two seeds", 9, "column")) == {
        "script_name": "two seeds",
        "script_args": (9, 1),
    }
    assert panel.read(values(panel, "None", 9, "column")) == {}


def test_a_value_that_the_field_does_not_have_is_refused(app: App) -> None:
    panel = built(app, "txt2img")
    with pytest.raises(BadInput, match="Layout"):
        panel.read(values(panel, "Two seeds", 9, "diagonal"))


def test_files_become_paths(app: App, tmp_path: Any) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("a\nb")
    field = in_event_loop(lambda: gr.File(label="Lines"))
    given = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
    assert as_argument(field, None) is None
    assert type(as_argument(field, given)) is str
