"""Extra network tags, against golden cases and cases of our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modules.prompt.networks import NetworkTag, extract_networks

GOLDEN = json.loads((Path(__file__).parent.parent / "data/golden/prompt.json").read_text("utf-8"))


@pytest.mark.parametrize("case", GOLDEN["extra_networks"], ids=lambda case: case["input"])
def test_tags_are_as_golden(case: dict) -> None:
    prompt, tags = extract_networks(case["input"])
    by_kind: dict[str, list[dict]] = {}
    for tag in tags:
        row = {"positional": list(tag.positional), "named": dict(tag.named)}
        by_kind.setdefault(tag.kind, []).append(row)
    assert (prompt, by_kind) == (case["prompt"], case["networks"])


def test_arguments_are_by_place_or_by_name() -> None:
    prompt, tags = extract_networks("a <lora:x y:0.5:unet=1:dyn=2=3>b<hypernet:h:1> > c")
    assert prompt == "a b > c"
    assert tags == (
        NetworkTag("lora", ("x y", "0.5"), {"unet": "1", "dyn": "2=3"}),
        NetworkTag("hypernet", ("h", "1")),
    )


def test_tags_can_be_keys() -> None:
    assert len({NetworkTag("lora", ("x",), {"te": "1"}), NetworkTag("lora", ("x",))}) == 2
