from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from modules.core.app import App
from modules.interrogate import Interrogator
from modules.model_manager.lending import lend_cpu
from modules.ui import build_page
from modules.ui.interrogate import InterrogateButton

ROOT = Path(__file__).parents[2]
CAT = {"path": str(ROOT / "tests/data/interrogate/cat.png")}


@pytest.fixture
def said() -> list[str]:
    """The notices that the page would show."""
    return []


@pytest.fixture
def button(app: App, tmp_path: Path, said: list[str]) -> InterrogateButton:
    lists = (ROOT / "models/interrogate",)
    shipped = Interrogator([ROOT / "models/CLIP"], lists, tmp_path / "words", lend_cpu)
    return InterrogateButton(replace(app, interrogator=shipped), "img2img", warn=said.append)


@pytest.mark.parametrize("value", [CAT, {"background": CAT, "layers": [], "composite": None}])
def test_picture_of_a_field_becomes_the_prompt(
    button: InterrogateButton, value: dict[str, Any]
) -> None:
    assert button.caption(value).split(", ")[0] == "cat"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "a picture is needed: drop one on the field"),
        ({"background": None, "layers": []}, "a picture is needed"),
        ({"path": "/nowhere/cat.png"}, "the uploaded file is gone"),
        ({"path": __file__}, "a PNG, JPEG"),
    ],
)
def test_what_is_wrong_is_told_and_the_prompt_stays(
    button: InterrogateButton, said: list[str], value: Any, words: str
) -> None:
    assert button.caption(value) == gr.skip()
    assert words in said[0]


def test_missing_clip_is_told(app: App, said: list[str]) -> None:
    lists = (ROOT / "models/interrogate",)
    empty = Interrogator([app.paths.models / "CLIP"], lists, app.paths.cache, lend_cpu)
    changed = replace(app, interrogator=empty)
    found = InterrogateButton(changed, "inpaint", warn=said.append).caption(CAT)
    assert found == gr.skip()
    assert "there is no CLIP model" in said[0]


def test_each_mode_with_a_picture_has_its_own_call(app: App) -> None:
    page = build_page(app)
    ids = {block._id: block.elem_id for block in page.blocks.values()}
    prompts = {name: f"{name}_prompt" for name in ("img2img", "inpaint")}
    calls = [
        ([ids[i] for i in call["inputs"]], ids[call["outputs"][0]])
        for call in page.get_config_file()["dependencies"]
        if len(call["inputs"]) == len(call["outputs"]) == 1
        and ids[call["outputs"][0]] in prompts.values()
        and call["backend_fn"]
    ]
    fields = {inputs[0] for inputs, output in calls if output == "img2img_prompt"}
    assert fields == {
        "img2img_image", "img2img_sketch", "img2maskimg", "inpaint_sketch", "img_inpaint_base"
    }  # fmt: skip
    assert {output for _, output in calls} == set(prompts.values())


def test_buttons_have_a1111s_ids_and_words(app: App) -> None:
    rows = build_page(app).get_config_file()["components"]
    found = {row["props"].get("elem_id"): row["props"] for row in rows}
    assert found["interrogate"]["value"] == found["inpaint_interrogate"]["value"] == "Interrogate"
