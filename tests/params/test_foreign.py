"""Metadata of other programs, told as infotexts. Each golden file holds one picture's texts.

A text that is JSON stands in the files as an object; NovelAI's "Comment" and the like too.
"""

from __future__ import annotations

import doctest
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modules.params import foreign
from modules.params.foreign import found, names, read_foreign, weights
from modules.params.foreign.found import Foreign, lora_tag
from modules.params.infotext_read import read_infotext
from modules.params.infotext_text import parse

FOLDER = Path(__file__).parents[1] / "data" / "infotext"
FILES = sorted(FOLDER.glob("*.json"))
HOSTILE: tuple[Any, ...] = (
    None, True, -1, 10**60, 1e308, "", "\x00\ud800", "Negative prompt: x\nSteps: 1, a: b, c: d",
    "9" * 5000, [], {}, [[]], {"": {}}, ["3", 0], ["3", "0"], [None, None], [0] * 50, "{", "\\",
)  # fmt: skip


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def texts_of(golden: dict[str, Any]) -> dict[str, str]:
    return {
        key: json.dumps(value) if isinstance(value, dict) else value
        for key, value in golden["texts"].items()
    }


def read(golden: dict[str, Any]) -> Foreign:
    read = read_foreign(texts_of(golden), tuple(golden["size"]))
    assert read is not None
    return read


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_picture_gives_its_infotext(path: Path) -> None:
    golden = load(path)
    read_now = read(golden)
    assert read_now.program == golden["program"]
    assert read_now.infotext.split("\n") == golden["infotext"]
    assert read_now.not_mapped == golden["not_mapped"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_infotext_is_understood_whole(path: Path) -> None:
    golden = load(path)
    understood = read_infotext("\n".join(golden["infotext"]))
    assert understood.rest == {}
    assert understood.params["prompt"] == golden["infotext"][0]
    assert {"steps", "seed", "width", "height", "cfg_scale"} <= understood.params.keys()


def test_every_program_has_a_golden_picture() -> None:
    assert {load(path)["program"] for path in FILES} == {one.name for one in foreign.PROGRAMS}


@pytest.mark.parametrize("module", [found, names, weights], ids=lambda module: module.__name__)
def test_examples_in_the_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_unknown_texts_are_nobodys() -> None:
    assert read_foreign({}, (8, 8)) is None
    assert read_foreign({"parameters": "a cat\nSteps: 2", "prompt": "a cat"}, (8, 8)) is None


def test_swarmui_is_asked_before_comfyui_whose_graph_it_writes_too() -> None:
    golden = load(FOLDER / "swarmui-refined.json")
    assert "KSampler" in texts_of(golden)["prompt"]
    assert read(golden).program == "SwarmUI"


def test_seed_above_two_to_the_53_keeps_its_digits() -> None:
    golden = load(FOLDER / "comfyui-hires.json")
    assert read_infotext(read(golden).infotext).params["seed"] == 2**64 - 1


def test_hires_fix_of_comfyui_becomes_hires_fix() -> None:
    params = read_infotext(read(load(FOLDER / "comfyui-hires.json")).infotext).params
    wanted = {"enable_hr": True, "hr_scale": 1.5, "hr_second_pass_steps": 14,
              "hr_upscaler": "Latent (nearest-exact)", "denoising_strength": 0.55}  # fmt: skip
    assert {name: params[name] for name in wanted} == wanted


def test_prompt_cannot_pretend_to_be_a_negative_prompt() -> None:
    text = Foreign("x", "a cat\nNegative prompt: dog", "", {"Steps": 1, "Seed": 2, "Size": "8x8"})
    assert parse(text.infotext)["Negative prompt"] == ""
    assert parse(text.infotext)["Prompt"] == "a cat\ndog"


@pytest.mark.parametrize("name", ["a>b:c<d", "../x/y.safetensors", "\x00"])
def test_lora_name_cannot_end_its_tag(name: str) -> None:
    tag = lora_tag(name, 1)
    assert tag.count("<") == tag.count(">") <= 1


# --- hostile metadata ----------------------------------------------------------------------------


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside of `value`."""
    rows = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in rows:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def replace(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_value_anywhere_makes_a_reader_raise(path: Path) -> None:
    everywhere = list(places(load(path)["texts"]))
    chance = random.Random(path.stem)
    for place in everywhere:
        for hostile in chance.sample(HOSTILE, 4):
            golden = load(path)
            replace(golden["texts"], place, hostile)
            texts = {k: v for k, v in texts_of(golden).items() if isinstance(v, str)}
            read_now = read_foreign(texts, (8, 8))
            if read_now is not None:
                read_infotext(read_now.infotext.encode("utf-8").decode("utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_text_cut_off_anywhere_makes_no_reader_raise(path: Path) -> None:
    texts = texts_of(load(path))
    for key, text in texts.items():
        for end in range(0, len(text), max(1, len(text) // 60)):
            read_foreign({**texts, key: text[:end]}, (8, 8))


def test_cyclic_graph_is_walked_once() -> None:
    golden = load(FOLDER / "comfyui-hires.json")
    nodes = golden["texts"]["prompt"]
    keys = list(nodes)
    chance = random.Random(4)
    for _ in range(200):
        links = [p for p in places(nodes) if p[-1] == 0 and isinstance(nodes[p[0]], dict)]
        replace(nodes, chance.choice(links), chance.choice(keys))
        read_foreign(texts_of(golden), (8, 8))


@pytest.mark.parametrize(
    ("kind", "name"),
    [("ConditioningSetArea", "conditioning"), ("Reroute", ""), ("ConditioningConcat", "both"),
     ("ConditioningCombine", "both"), ("StringConcatenate", "text")],
)  # fmt: skip
def test_long_chain_of_nodes_takes_no_time(kind: str, name: str) -> None:
    golden = load(FOLDER / "comfyui-default.json")
    nodes = golden["texts"]["prompt"]
    for number in range(1000, 4000):
        link = [str(number + 1), 0]
        inputs: dict[str, Any] = {name: link}
        if name == "both":
            ends = ("conditioning_to", "conditioning_from", "conditioning_1", "conditioning_2")
            inputs = dict.fromkeys(ends, link)
        if name == "text":
            inputs = {"string_a": link, "string_b": link}
        nodes[str(number)] = {"class_type": kind, "inputs": inputs}
    if name == "text":
        nodes["6"]["inputs"]["text"] = ["1000", 0]
    else:
        nodes["3"]["inputs"]["positive"] = ["1000", 0]
    assert read(golden).pairs["Steps"] == 20


@pytest.mark.parametrize("text", ["1" * 100_000, "{[" * 50_000, "(" * 100_000, "a-" * 50_000])
@pytest.mark.parametrize("convert", [weights.from_novelai, weights.from_compel])
def test_weights_of_long_prompts_take_no_time(convert: Any, text: str) -> None:
    convert(text)


def test_json_that_is_too_deep_counts_as_absent() -> None:
    deep = '{"class_type": ' * 100_000
    assert read_foreign({"prompt": deep}, (8, 8)) is None
    assert read_foreign({"prompt": '{"1": {"class_type": ' + "[" * 100_000}, (8, 8)) is None
