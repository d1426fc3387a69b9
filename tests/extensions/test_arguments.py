"""Arguments of scripts: what is refused before a job is queued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modules.core.errors import BadInput, EaselError, NotFound
from modules.extensions.arguments import Control, Takes, check_arguments
from modules.extensions.host import ScriptHost
from modules.extensions.load import Extension
from modules.ui.script_arguments import read_controls

NAMES = {"choices": ("Row", "Column"), "values": ("r", "c")}


@pytest.mark.parametrize(
    ("takes", "good", "bad"),
    [
        ("anything", [None, {}, "x"], []),
        ("number", [1, 0.5, 999, "7", -1], [None, "many", True, float("nan"), [1], {}]),
        ("bounded", [1, 10, "7"], [None, 0, 10.5, "many", float("inf")]),
        ("switch", [True, False, 0, 1, None], ["false", "yes", 2, [True]]),
        ("text", ["", "a", 5, None], [["a"], {}]),
        ("choice", ["Row", "column", " ROW ", "c", 0, 1, None], ["diagonal", 2, -1, True, 1.5, []]),
        ("choices", [["Row", 1], [], "c", None], [["Row", "diagonal"], "diagonal", [[]]]),
    ],
)
def test_what_a_field_can_hold(takes: Takes, good: list[Any], bad: list[Any]) -> None:
    control = Control("Field", 5, minimum=1, maximum=10, takes=takes, **NAMES)  # type: ignore[arg-type]
    for value in good:
        check_arguments([control], [value])
    for value in bad:
        with pytest.raises(BadInput, match="^Field: "):
            check_arguments([control], [value])


def test_empty_number_is_one_where_the_field_begins_empty() -> None:
    check_arguments([Control("Field", None, takes="number")], [None])


def test_field_without_a_label_goes_by_its_place() -> None:
    with pytest.raises(BadInput, match=r"^script_args\[1\]: 'x'"):
        check_arguments([Control("", 1), Control("", 1, takes="number")], [0, "x"])


SCRIPT = """
from modules.extensions import Script
MENU = ["one", "two"]
class Fields(Script):
    def title(self): return "Fields"
    def ui(self, is_img2img):
        import gradio as gr
        one = gr.Dropdown(list(MENU), value="one", label="Plain")
        free = gr.Dropdown(list(MENU), allow_custom_value=True, label="Free")
        other = gr.Dropdown(["?"], value="?", label="Follows")
        box = gr.Checkbox(label="Box")
        some = gr.CheckboxGroup(MENU, label="Some")
        one.change(lambda chosen: gr.update(choices=[chosen]), [one], [other])
        return [one, free, other, box, some, gr.Number(1, minimum=0, label="Bound"), gr.HTML("")]
    def check_arguments(self, *args):
        if args[1] == "broken":
            raise RuntimeError("the check is broken")
class Files(Script):
    def title(self): return "Files"
    def ui(self, is_img2img):
        import gradio as gr
        names = self.menu_names("vaes") if self.menu_names else []
        return [gr.Dropdown(["None", *names], value="None", label="VAE")]
"""


@pytest.fixture
def fields(tmp_path: Path) -> ScriptHost:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/fields.py").write_text(SCRIPT)
    return ScriptHost([Extension("fields", tmp_path)], read_controls)


def test_components_say_what_they_take(fields: ScriptHost) -> None:
    controls = fields.controls(fields.find("txt2img", "fields"))
    kinds = ["choice", "anything", "anything", "switch", "choices", "bounded", "anything"]
    assert [control.takes for control in controls] == kinds
    fields.check("txt2img", "Fields", ["two", "anything", "new", True, ["one"], 5])
    with pytest.raises(BadInput, match="Plain: 'three' cannot be used; one of one, two is needed"):
        fields.check("txt2img", "fields", ["three"])
    with pytest.raises(BadInput, match="Bound: -1"):
        fields.check("img2img", "fields", ["one", "x", "x", False, [], -1])


def test_menu_that_has_grown_is_read_again(fields: ScriptHost) -> None:
    script = fields.find("txt2img", "fields")
    fields.controls(script)
    script.ui.__func__.__globals__["MENU"].append("three")  # type: ignore[attr-defined]
    fields.check("txt2img", "fields", ["three"])


def test_names_that_only_the_page_knows_are_not_refused(fields: ScriptHost) -> None:
    fields.check("txt2img", "files", ["some.vae.safetensors"])


def test_check_that_breaks_names_the_script(fields: ScriptHost) -> None:
    with pytest.raises(EaselError, match="'Fields' failed: RuntimeError: the check is broken"):
        fields.check("txt2img", "fields", ["one", "broken"])


@pytest.mark.parametrize(
    ("kind", "name", "given", "words"),
    [
        ("txt2img", "x/y/z plot", ["Stepz"], "X type: 'Stepz'"),
        ("txt2img", "x/y/z plot", [99], "X type: 99"),
        ("img2img", "x/y/z plot", ["Hires steps", "1"], "X type: 'Hires steps'"),
        ("txt2img", "x/y/z plot", ["Steps", "many"], r"X values \(Steps\): 'many'"),
        ("txt2img", "x/y/z plot", ["Steps", ""], "at least one value"),
        ("txt2img", "x/y/z plot", ["Sampler", "Eular"], "nearest known name is 'Euler'"),
        ("txt2img", "x/y/z plot", ["RNG source", "x", 5], "a list is expected"),
        ("txt2img", "x/y/z plot", [4, "1", [], *[0, "", []] * 2, "yes"], "Draw legend: 'yes'"),
        ("txt2img", "prompt matrix", [False, False, "both"], "Select prompt: 'both'"),
        ("txt2img", "prompt matrix", [False] * 2 + ["positive", "comma", -1], "Grid margins"),
        ("txt2img", "prompts from file or textbox", [False, False, "start", "--colour red"],
         "line 1"),
        ("img2img", "loopback", [5000], "Loops: 5000"),
        ("img2img", "loopback", [4, 0.5, "Steep"], "Denoising strength curve: 'Steep'"),
        ("img2img", "outpainting mk2", ["", 0], "Pixels to expand: 0"),
        ("img2img", "outpainting mk2", ["", 64, 8, ["inward"]], "Outpainting direction"),
        ("img2img", "poor man's outpainting", [64, 4, "grass"], "Masked content: 'grass'"),
        ("img2img", "sd upscale", ["", -1], "Tile overlap: -1"),
        ("img2img", "sd upscale", ["", 64, "None", 99], "Scale Factor: 99"),
        ("img2img", "img2img alternative test", ["", "yes"], "Override `Sampling method`"),
    ],
)  # fmt: skip
def test_built_in_scripts_refuse_before_they_run(
    host: ScriptHost, kind: Any, name: str, given: list[Any], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        host.check(kind, name, given)


@pytest.mark.parametrize(
    ("kind", "name", "given"),
    [
        ("txt2img", "X/Y/Z plot", [4, "1-3", None, 0, "", None, 0, "", None]),
        ("txt2img", "x/y/z plot", ["Sampler", "", ["Euler"], "Checkpoint name", "not here"]),
        ("txt2img", "x/y/z plot", ["Seed", -1]),
        ("img2img", "loopback", [64, "0.25", "lazy", 0]),
        ("img2img", "outpainting mk2", [None, 300, 8, "left"]),
        ("img2img", "poor man's outpainting", [64, 4, 1, [0, "right"]]),
        ("img2img", "sd upscale", [None, 64, 1, 6]),
        ("img2img", "img2img alternative test", []),
    ],
)
def test_built_in_scripts_take_what_they_took(
    host: ScriptHost, kind: Any, name: str, given: list[Any]
) -> None:
    host.check(kind, name, given)


def test_script_that_is_not_there_is_named(host: ScriptHost) -> None:
    with pytest.raises(NotFound, match="Unknown script 'loopback'"):
        host.check("txt2img", "loopback", [])
    host.check("txt2img", None, ["anything"])
    host.check("txt2img", "None", ["anything"])
