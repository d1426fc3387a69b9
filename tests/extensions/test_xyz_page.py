"""What the fields of the X/Y/Z plot do to each other, without a browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
import pytest

from modules.extensions.host import ScriptHost
from modules.params.infotext_text import parse, quote
from modules.ui.events import in_event_loop
from modules.ui.scripts import ScriptPanel
from tests.extensions.plot_job import EXTENSION

assert EXTENSION.is_dir()
from easel_plots.axes import axes_of, find_axis  # noqa: E402
from easel_plots.order import Line  # noqa: E402
from easel_plots.plot import plot_pairs  # noqa: E402
from easel_plots.xyz_page import _Page, build_page  # noqa: E402
from easel_plots.xyz_paste import PlotPaste, fields_of  # noqa: E402


def files(source: str) -> Sequence[str]:
    return {"checkpoints": ["one.safetensors", "two, big"], "styles": ["Oil"]}.get(source, ())


def axis(label: str) -> int:
    return [row.label for row in axes_of("txt2img")].index(label)


@pytest.fixture
def page() -> _Page:
    return _Page("txt2img", files)


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("Steps", []),
        ("Checkpoint name", ["one.safetensors", "two, big"]),
        ("Refiner checkpoint", ["None", "one.safetensors", "two, big"]),
        ("VAE", ["Automatic", "None"]),
        ("Styles", ["Oil"]),
        ("RNG source", ["GPU", "CPU", "NV"]),
        ("SGM noise multiplier", ["True", "False"]),
    ],
)
def test_an_axis_with_names_shows_a_menu_of_them(page: _Page, label: str, names: list[str]) -> None:
    text, menu, fill = page.show(axis(label), ["Oil", "gone"], False)
    assert text["visible"] is (not names) and menu["visible"] is fill["visible"] is bool(names)
    assert menu["choices"] == names
    assert menu["value"] == (["Oil"] if label == "Styles" else [])
    text, menu, fill = page.show(axis(label), [], True)
    assert text["visible"] and not menu["visible"] and fill["visible"] is bool(names)


def test_every_axis_with_choices_has_names_but_those_of_files() -> None:
    bare = _Page("txt2img", lambda source: ())
    for place, row in enumerate(axes_of("txt2img")):
        names = bare._names(place)
        assert bool(names) == (row.choices not in (None, "checkpoints", "styles"))


def test_fill_takes_every_name_as_menu_or_text(page: _Page) -> None:
    kind = axis("Checkpoint name")
    assert page.fill(kind, False)[1] == ["one.safetensors", "two, big"]
    assert page.fill(kind, True)[0] == 'one.safetensors, "two, big"'


def test_axes_are_exchanged(page: _Page) -> None:
    steps, vae = axis("Steps"), axis("VAE")
    assert page.swap(steps, "1,2", [], vae, "", ["None"]) == [
        "VAE", "", ["None"], "Steps", "1,2", [],
    ]  # fmt: skip


def test_values_are_carried_between_menu_and_text(page: _Page) -> None:
    kind = axis("Checkpoint name")
    text, menu, _ = page.switch(True, kind, "", ["two, big"])
    assert text["value"] == '"two, big"' and not menu["visible"]
    text, menu, _ = page.switch(False, kind, 'gone, "two, big"', [])
    assert menu["value"] == ["two, big"] and menu["visible"]
    text, menu, _ = page.switch(False, axis("Steps"), "1,2", [])
    assert text["value"] == "1,2" and text["visible"] and menu["value"] == []


def test_values_are_carried_to_text_once(page: _Page) -> None:
    kind = axis("Checkpoint name")
    _text, menu, _ = page.switch(True, kind, "", ["two, big"])
    assert menu["value"] == [], "else what is typed then would be lost with the page's reload"


SEED = {"X Type": "Seed", "X Values": "-1, 5", "Fixed X Values": "77, 5"}
RANGE = {"X Type": "Seed", "X Values": "1-3", "Fixed X Values": "1, 2, 3"}
NAMES = {"Y Type": "Checkpoint name", "Y Values": '"Two, big", one.safetensors'}
GONE = {"Y Type": "Checkpoint name", "Y Values": "gone, one.safetensors"}


@pytest.mark.parametrize(
    ("pairs", "x", "y", "is_text"),
    [
        (SEED, ("Seed", "77, 5", []), ("Nothing", None, None), None),
        (RANGE, ("Seed", "1-3", []), ("Nothing", None, None), None),
        (NAMES, ("Nothing", None, None),
         ("Checkpoint name", NAMES["Y Values"], ["two, big", "one.safetensors"]), None),
        (GONE, ("Nothing", None, None), ("Checkpoint name", GONE["Y Values"], []), True),
        ({"X Type": "Size", "X Values-1": "64", "X Values-2": "96"}, ("Size", "64x96", []),
         ("Nothing", None, None), None),
        ({"X Type": "Colour", "X Values": "red"}, (None, None, None), ("Nothing", None, None),
         None),
    ],
)  # fmt: skip
def test_infotext_of_a_grid_becomes_the_fields(
    pairs: dict[str, str], x: Any, y: Any, is_text: bool | None
) -> None:
    fields = [f"{letter}{part}" for letter in "xyz" for part in ("kind", "text", "chosen")]
    rows = dict(fields_of([*fields, "csv"], PlotPaste("txt2img", files)))
    found = {name: read(pairs) for name, read in rows.items()}
    assert tuple(found[f"x{part}"] for part in ("kind", "text", "chosen")) == x
    assert tuple(found[f"y{part}"] for part in ("kind", "text", "chosen")) == y
    assert (found["zkind"], found["csv"]) == ("Nothing", is_text)


def test_what_a_plot_writes_down_is_what_the_page_reads() -> None:
    lines = tuple(
        Line(letter, find_axis("txt2img", letter, kind), text, values, values)
        for letter, kind, text, values in (
            ("X", "Var. seed", "-1, 5", (77, 5)),
            ("Y", "Prompt S/R", 'a, "b, c"', ("a", "b, c")),
            ("Z", "Size", "64x96", ((64, 96),)),
        )
    )
    pairs = parse("a\nSteps: 1, Seed: 5, " + ", ".join(
        f"{name}: {quote(value)}" for name, value in plot_pairs(lines).items()
    ))  # fmt: skip
    read = PlotPaste("txt2img", files)
    shown = [(read.kind(letter, pairs), read.text(letter, pairs)) for letter in "XYZ"]
    assert shown == [("Var. seed", "77, 5"), ("Prompt S/R", 'a, "b, c"'), ("Size", "64x96")]


def test_elements_have_the_names_that_scripts_reach_for() -> None:
    def build() -> list[Any]:
        with gr.Blocks(analytics_enabled=False) as blocks:
            build_page("txt2img", lambda item: f"script_txt2img_xyz_plot_{item}", files)
        return [block.elem_id for block in blocks.blocks.values() if getattr(block, "elem_id", "")]

    found = set(in_event_loop(build))
    small = [f"script_txt2img_xyz_plot_{letter}_{part}" for letter in "xyz"
             for part in ("type", "values", "values_dropdown")]  # fmt: skip
    assert {*small, *(f"xyz_grid_fill_{letter}_tool_button" for letter in "xyz")} <= found
    assert {f"script_txt2img_xyz_plot_{item}" for item in (
        "draw_legend", "no_fixed_seeds", "vary_seeds_x", "vary_seeds_y", "vary_seeds_z",
        "include_lone_images", "include_sub_grids", "csv_mode", "margin_size",
    )} <= found  # fmt: skip


def test_the_page_lends_its_scripts_the_names_of_files(host: ScriptHost) -> None:
    panel = ScriptPanel(host, "txt2img", files)
    in_event_loop(lambda: _built(panel))
    (script,) = (one for one in host.make("txt2img") if one.title() == "X/Y/Z plot")
    assert script.menu_names is None  # outside a page nothing is listed
    assert panel._scripts["X/Y/Z plot"].menu_names is files
    assert len(panel._fields["X/Y/Z plot"]) == 18


def _built(panel: ScriptPanel) -> None:
    with gr.Blocks(analytics_enabled=False):
        panel.build()
