"""The scripts of a tab: what the menu offers, and what a job gets from the fields."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr
import pytest

from modules.core.app import App
from modules.core.errors import BadInput
from modules.ui.events import in_event_loop
from modules.ui.script_arguments import as_argument
from modules.ui.script_paste import NotedPairs, field_value
from modules.ui.scripts import ScriptPanel


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


def test_what_the_script_itself_refuses_is_refused_at_its_field(app: App) -> None:
    panel = built(app, "txt2img")
    given = values(panel, "Two seeds", 13, "row")
    with pytest.raises(BadInput, match="that is bad luck") as caught:
        panel.read(given)
    assert panel.element(given, caught.value) == "script_txt2img_two_seeds_apart"
    assert panel.element(given, BadInput("steps", 0, "more")) == ""
    assert panel.element(values(panel, "None", 1, "row"), caught.value) == ""


@pytest.mark.parametrize("emptied", [None, "", "x"])
def test_an_emptied_slider_is_refused(app: App, emptied: Any) -> None:
    panel = built(app, "txt2img")
    with pytest.raises(BadInput, match="Seeds apart"):
        panel.read(values(panel, "Two seeds", emptied, "row"))


def word(panel: ScriptPanel, **pairs: str) -> tuple[Any, frozenset[str]]:
    names = {name.replace("_", " "): value for name, value in pairs.items()}
    text, used = panel.paste(names)
    return json.loads(text) if text else None, used


def test_infotext_chooses_the_script_that_it_names_and_fills_its_fields(app: App) -> None:
    panel = built(app, "txt2img")
    said, used = word(panel, Script="two SEEDS", Seeds_apart="7", Layout="column", Colour="blue")
    assert said["script"] == "Two seeds"
    assert list(said["values"].values()) == [7, "column"]
    assert used == {"Script", "Seeds apart", "Layout"}
    rows = panel.describe()["fields"]
    assert [row["key"] for row in rows] == ["script", *said["values"]]


@pytest.mark.parametrize("given", ["many", "1000", ""])
def test_value_that_the_field_cannot_hold_leaves_it_as_it_is(app: App, given: str) -> None:
    said, used = word(built(app, "txt2img"), Script="Two seeds", Seeds_apart=given)
    assert (said["values"], used) == ({}, {"Script"})


@pytest.mark.parametrize("name", ["", "None", "Three seeds", "Only pictures!"])
def test_infotext_of_another_or_of_no_script_changes_nothing(app: App, name: str) -> None:
    assert word(built(app, "img2img"), Script=name, Seeds_apart="7") == (None, frozenset())


def test_page_is_told_what_to_keep(app: App) -> None:
    told = built(app, "txt2img").describe()
    assert told["groups"] == {"Two seeds": "txt2img_script_0"}
    assert told["fields"] == [
        {"key": "script", "script": "", "default": "None", "choices": ["None", "Two seeds"]},
        {"key": "Two seeds/0/Seeds apart", "script": "Two seeds", "default": 5, "choices": None},
        {"key": "Two seeds/1/Layout", "script": "Two seeds", "default": "row",
         "choices": ["row", "column"]},
    ]  # fmt: skip
    assert built(app, "inpaint").describe() == {"fields": [], "groups": {}}


def field(kind: Any, *args: Any, **options: Any) -> Any:
    return in_event_loop(lambda: kind(*args, **options))


@pytest.mark.parametrize(
    ("component", "text", "expected"),
    [
        (field(gr.Checkbox), "True", True),
        (field(gr.Checkbox), "perhaps", None),
        (field(gr.Textbox), "a, b", "a, b"),
        (field(gr.Number), "0.5", 0.5),
        (field(gr.Radio, [("One", 1)]), "one", 1),
        (field(gr.Radio, ["a"]), "b", None),
        (field(gr.CheckboxGroup, ["a", "b"]), "b, a", ["b", "a"]),
        (field(gr.CheckboxGroup, ["a", "b"]), "a, c", None),
        (field(gr.Dropdown, ["a", "b"], multiselect=True), "A", ["a"]),
        (field(gr.Dropdown, ["a"], allow_custom_value=True), "z", "z"),
    ],
)
def test_texts_of_infotexts_become_values(component: Any, text: str, expected: Any) -> None:
    assert field_value(component, "Name", NotedPairs({"Name": text})) == expected


def test_files_become_paths(app: App, tmp_path: Any) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("a\nb")
    field = in_event_loop(lambda: gr.File(label="Lines"))
    given = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
    assert as_argument(field, None) is None
    assert type(as_argument(field, given)) is str
