"""Prompts on their way into the steps: schedules of both sides, lengths, families, scores."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modules.core.hooks import Hooks
from modules.core.settings import Settings, known_settings
from modules.model_manager import Catalogue, Hashes, ModelManager, VaeCatalogue
from modules.model_manager.load import load_checkpoint
from modules.params.generation import Txt2ImgParams
from modules.pipelines.base import EncodeOptions
from modules.processing.conditioning import encode_options
from modules.processing.run import Services
from tools.make_fixtures import tiny, write_checkpoint

LONG = ", ".join(["a fox with a long tail in the snow"] * 12)


@pytest.fixture
def steps(studio: Any) -> list[Any]:
    """What the network is given at each step of the jobs of this test."""
    seen: list[Any] = []
    note = lambda event: seen.append((event.cond.crossattn, event.uncond.crossattn))  # noqa: E731
    studio.services.hooks.add("cfg_denoiser", note, "test")
    return seen


def test_schedule_of_a_negative_prompt_changes_the_negative_alone(
    studio: Any, steps: list[Any]
) -> None:
    studio.make(negative_prompt="[ugly:blurry:2]", steps=6)
    changed = [not one.equal(steps[0][1]) for _, one in steps]
    assert changed == [False, False, False, True, True, True]
    assert all(one.equal(steps[0][0]) for one, _ in steps)


def test_alternation_of_a_negative_prompt_takes_turns(studio: Any, steps: list[Any]) -> None:
    studio.make(negative_prompt="[ugly|blurry]", steps=5)
    turns = [one.equal(steps[2][1]) for _, one in steps]
    assert turns == [False, False, True, False, True]


def test_and_is_text_in_a_negative_prompt(studio: Any, steps: list[Any]) -> None:
    studio.make(prompt="a AND b", negative_prompt="a AND b", steps=1)
    assert [len(side) for side in steps[0]] == [2, 1]


@pytest.mark.parametrize(
    ("values", "lengths"),
    [
        ({"prompt": LONG}, (154, 77)),
        ({"negative_prompt": LONG}, (77, 154)),
        ({"prompt": "[a:" + LONG + ":2]"}, (154, 77)),
        ({"prompt": LONG + " AND short"}, (154, 77)),
    ],
)
def test_each_side_has_its_own_number_of_chunks(
    values: dict[str, str], lengths: tuple[int, int], studio: Any, steps: list[Any]
) -> None:
    result = studio.make(**values)
    assert result.warnings == ()
    assert {(one.shape[1], other.shape[1]) for one, other in steps} == {lengths}


def test_hires_schedules_count_on_from_the_first_pass(studio: Any, steps: list[Any]) -> None:
    studio.make(prompt="[a:b:6]", enable_hr=True, hr_scale=1.5, hr_second_pass_steps=4,
                denoising_strength=0.9)  # fmt: skip
    first, second = steps[:4], steps[4:]
    assert all(one.equal(first[0][0]) for one, _ in first)
    assert [one.equal(first[0][0]) for one, _ in second] == [True, True, True, False]


def test_sd2_takes_its_trained_state_whatever_the_clip_skip(tmp_path: Path) -> None:
    file = write_checkpoint(tmp_path / "sd2.safetensors", tiny("sd2"))
    model = load_checkpoint(file, torch.device("cpu"), torch.float32)
    conds = [model.encode_prompts(["fox"], EncodeOptions(clip_skip=n))[0] for n in (1, 2, 4)]
    assert all(cond.crossattn.equal(conds[0].crossattn) for cond in conds)


def test_refiner_scores_come_from_the_settings() -> None:
    view = Settings(None).view()
    scores = {
        side: encode_options(Txt2ImgParams(), view, (64, 64), is_negative=side).aesthetic_score
        for side in (False, True)
    }
    assert scores == {False: 6.0, True: 2.5}
    own = view.with_overrides(
        {"sdxl_refiner_low_aesthetic_score": 1.5, "sdxl_refiner_high_aesthetic_score": 9}
    )
    options = [encode_options(Txt2ImgParams(), own, (64, 64), is_negative=n) for n in (False, True)]
    assert [one.aesthetic_score for one in options] == [9.0, 1.5]


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory, services: Services) -> Services:
    """A small SDXL and its refiner, random weights."""
    folder = tmp_path_factory.mktemp("xl")
    write_checkpoint(folder / "base.safetensors", tiny("sdxl"))
    write_checkpoint(folder / "refiner.safetensors", tiny("sdxl-refiner"))
    models = ModelManager(
        Catalogue((folder,), Hashes(folder / "hashes.json")),
        VaeCatalogue((), (folder,), None),
        lambda: services.models.placement,
        settings=lambda: known_settings() | {"sd_checkpoints_limit": 2},
        default=folder / "base.safetensors",
    )
    return dataclasses.replace(services, models=models, hooks=Hooks())


def test_sdxl_hands_over_to_its_refiner(xl: Services, studio: Any) -> None:
    studio.services = xl
    shapes: list[Any] = []

    def note(event: Any) -> None:
        shapes.append((event.cond.crossattn.shape[-1], event.cond.vector.shape[-1]))

    xl.hooks.add("cfg_denoiser", note, "test")
    values = {"refiner_checkpoint": "refiner", "prompt": "a fox", "negative_prompt": ""}
    mixed = studio.pixels(**values, refiner_switch_at=0.5)
    assert shapes[0] == shapes[1] != shapes[2] == shapes[3], "its own text encoder, its own vector"
    shapes.clear()
    taken = studio.pixels(**values, refiner_switch_at=0.0)
    alone = studio.pixels({"sd_model_checkpoint": "refiner"}, prompt="a fox", negative_prompt="")
    assert np.abs(taken - alone).max() <= 1
    assert np.abs(mixed - alone).max() > 5
