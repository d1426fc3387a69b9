"""A picture does not depend on its company, and unchanged prompts cost nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modules.core.hooks import Hooks
from modules.model_manager import ModelManager
from modules.model_manager.load import load_checkpoint
from modules.pipelines.base import EncodeOptions
from modules.pipelines.sd import StableDiffusion
from modules.processing.run import Services
from modules.sampling.conditioning import Conditioning
from modules.sampling.table import SAMPLERS, SamplerRow

TOLERANCE = 1
"""Levels; matrix products of other sizes add up in another order."""
CHOOSES_ITS_STEPS = "DPM adaptive"
"""By the error of the whole batch, in A1111 too."""


@pytest.mark.parametrize("source", ["GPU", "NV"])
@pytest.mark.parametrize(
    "row", [row for row in SAMPLERS if row.name != CHOOSES_ITS_STEPS], ids=lambda row: row.name
)
def test_picture_of_a_batch_is_that_of_its_seed_alone(
    row: SamplerRow, source: str, studio: Any
) -> None:
    values = {"sampler_name": row.name, "steps": 3, "cfg_scale": 3.0}
    overrides = {"randn_source": source}
    batch = studio.make(overrides, batch_size=2, **values)
    alone = studio.pixels(overrides, seed=8, **values)
    assert np.abs(np.asarray(batch.images[1]).astype(int) - alone).max() <= TOLERANCE


@pytest.mark.parametrize(
    "values",
    [
        {"prompt": "[a|b] fox AND snow:0.5", "negative_prompt": "[ugly:blurry:0.5]"},
        {"subseed": 5, "subseed_strength": 0.4, "sampler_name": "DPM++ SDE"},
        {"seed_resize_from_w": 128, "seed_resize_from_h": 96, "sampler_name": "Euler a"},
        {"enable_hr": True, "hr_scale": 1.5, "sampler_name": "DPM++ 2M SDE",
         "denoising_strength": 0.7},
        {"tiling": True},
    ],
    ids=["prompts", "variation", "seed resize", "hires", "tiling"],
)  # fmt: skip
def test_features_do_not_mix_the_pictures_of_a_batch(values: dict[str, Any], studio: Any) -> None:
    values = {"steps": 3, "cfg_scale": 3.0} | values
    overrides = {"eta_noise_seed_delta": 31337, "token_merging_ratio": 0.4}
    batch = studio.make(overrides, batch_size=2, **values)
    seed = {"subseed": 6} if "subseed" in values else {"seed": 8}
    alone = studio.pixels(overrides, **values | seed)
    assert np.abs(np.asarray(batch.images[1]).astype(int) - alone).max() <= TOLERANCE


class Counting(StableDiffusion):
    """Counts the texts that it encodes."""

    texts: list[str]

    def encode_prompts(self, texts: Sequence[str], options: EncodeOptions) -> list[Conditioning]:
        self.texts.extend(texts)
        return super().encode_prompts(texts, options)


@pytest.fixture
def counted(services: Services, tiny_models: Path) -> Any:
    """Services whose model counts, and its count."""
    file = tiny_models / "Stable-diffusion" / "tiny15.safetensors"
    plain = load_checkpoint(file, torch.device("cpu"), torch.float32)
    model = Counting(plain.spec, plain.networks)
    model.texts = []

    def load(*args: Any, **options: Any) -> StableDiffusion:
        return model

    catalogue, vaes = services.models.catalogue, services.models.vaes
    models = ModelManager(catalogue, vaes, lambda: services.models.placement, loader=load)
    return dataclasses.replace(services, models=models, hooks=Hooks()), model.texts


def test_unchanged_prompts_are_not_encoded_by_the_next_job(counted: Any, studio: Any) -> None:
    studio.services, texts = counted
    studio.make(prompt="one [two:three:0.5]", negative_prompt="four")
    assert texts == ["one two", "one three", "four"]
    studio.make(prompt="one [two:three:0.5]", negative_prompt="four", seed=99, cfg_scale=3.0,
                sampler_name="Euler a", steps=4)  # fmt: skip
    assert len(texts) == 3
    studio.make(prompt="one", negative_prompt="four")
    assert texts[3:] == ["one"]


@pytest.mark.parametrize(
    "overrides",
    [{"CLIP_stop_at_last_layers": 2}, {"emphasis": "No norm"}, {"comma_padding_backtrack": 3}],
    ids=lambda one: next(iter(one)),
)
def test_what_changes_the_encoding_encodes_again(
    overrides: dict[str, Any], counted: Any, studio: Any
) -> None:
    studio.services, texts = counted
    studio.make()
    before = len(texts)
    studio.make(overrides)
    assert len(texts) == 2 * before


def test_all_pictures_of_a_job_share_what_is_encoded(counted: Any, studio: Any) -> None:
    studio.services, texts = counted
    studio.make(batch_size=2, n_iter=2)
    assert len(texts) == 2


def test_setting_turns_remembering_off_between_jobs(counted: Any, studio: Any) -> None:
    studio.services, texts = counted
    off = {"persistent_cond_cache": False}
    studio.make(off, n_iter=2)
    studio.make(off)
    assert len(texts) == 4
