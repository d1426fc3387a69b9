"""Other checkpoints within a job: the refiner, and the one of the second pass."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.core.errors import NotFound
from modules.core.hooks import Hooks
from modules.core.settings import known_settings
from modules.model_manager import ModelChoice, ModelManager
from modules.params.infotext_read import read_infotext
from modules.processing.finish import to_images
from modules.processing.passes import to_tensor
from modules.processing.run import Services

OTHER = {"sd_model_checkpoint": "other"}
HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.6}


def test_refiner_that_takes_over_at_once_gives_its_own_picture(both: Any, levels: Any) -> None:
    alone = both.pixels(OTHER)
    assert levels(both.pixels(), alone) > 20
    taken = both.pixels(refiner_checkpoint="other", refiner_switch_at=0.0)
    assert levels(taken, alone) <= 1


def test_refiner_that_never_takes_over_changes_nothing(both: Any, levels: Any) -> None:
    result = both.make(refiner_checkpoint="other", refiner_switch_at=1.0)
    assert result.images[0].tobytes() == both.make().images[0].tobytes()
    assert "Refiner" not in result.infotexts[0]


def test_refiner_in_the_middle_gives_a_picture_of_both(both: Any, levels: Any) -> None:
    mixed = both.pixels(refiner_checkpoint="other", refiner_switch_at=0.5)
    assert levels(mixed, both.pixels()) > 5
    assert levels(mixed, both.pixels(OTHER)) > 5


def test_refiner_stands_in_the_infotext_with_its_hash(both: Any) -> None:
    result = both.make(refiner_checkpoint="other.safetensors", refiner_switch_at=0.5, n_iter=2)
    digest = both.services.models.catalogue.find("other").hash
    assert len(digest) == 10
    for text in result.infotexts:
        assert f"Model: tiny15, Refiner: other [{digest}], Refiner switch at: 0.5" in text


def test_every_batch_starts_with_the_jobs_own_model(both: Any, levels: Any) -> None:
    values = {"refiner_checkpoint": "other", "refiner_switch_at": 0.5}
    result = both.make(n_iter=2, **values)
    second = both.make(seed=8, **values)
    assert result.images[1].tobytes() == second.images[0].tobytes()


@pytest.mark.parametrize("by_steps", [False, True])
def test_switching_by_steps_counts_steps(by_steps: bool, both: Any) -> None:
    overrides = {"refiner_switch_by_sample_steps": by_steps}
    result = both.make(overrides, refiner_checkpoint="other", refiner_switch_at=0.6)
    other = both.make(overrides, refiner_checkpoint="other", refiner_switch_at=0.7)
    is_same = result.images[0].tobytes() == other.images[0].tobytes()
    # by steps both switch before the last; by levels 0, 1/3, 2/3 and all lie behind at a step
    assert is_same is by_steps
    assert ("Refiner switch by sampling steps: True" in result.infotexts[0]) is by_steps


def test_refiner_works_where_one_model_may_stay_loaded(both: Any, pair: Services) -> None:
    values = {"refiner_checkpoint": "other", "refiner_switch_at": 0.5, "n_iter": 2}
    expected = [image.tobytes() for image in both.make(**values).images]
    own = pair.models
    alone = ModelManager(
        own.catalogue,
        own.vaes,
        lambda: own.placement,
        settings=lambda: known_settings() | {"sd_checkpoints_limit": 1},
        default=own.catalogue.find("tiny15").path,
    )
    both.services = dataclasses.replace(pair, models=alone, hooks=Hooks())
    assert [image.tobytes() for image in both.make(**values).images] == expected
    assert [image.tobytes() for image in both.make(**values).images] == expected


def test_infotext_gives_the_picture_of_several_models_back(both: Any) -> None:
    overrides = {
        "hires_fix_refiner_pass": "both passes",
        "tiling": True,
        "token_merging_ratio": 0.3,
    }
    first = both.make(overrides, **HIRES, hr_checkpoint_name="other", refiner_checkpoint="tiny15",
                      refiner_switch_at=0.7)  # fmt: skip
    assert "Hires refiner: both passes, Refiner: tiny15 [" in first.infotexts[0]
    text = read_infotext(first.infotexts[0])
    settings = {k: v for k, v in text.overrides.items() if k != "sd_model_checkpoint"}
    second = both.make(settings, **text.params)
    assert second.images[0].tobytes() == first.images[0].tobytes()
    assert second.infotexts == first.infotexts


def test_refiner_equal_to_the_model_is_none(both: Any) -> None:
    result = both.make(refiner_checkpoint="tiny15", refiner_switch_at=0.3)
    assert result.images[0].tobytes() == both.make().images[0].tobytes()
    assert "Refiner" not in result.infotexts[0]


@pytest.mark.parametrize("field", ["refiner_checkpoint", "hr_checkpoint_name"])
def test_unknown_checkpoint_is_refused_with_the_known_ones(field: str, both: Any) -> None:
    with pytest.raises(NotFound, match=r"'nope'.*other\.safetensors.*tiny15\.safetensors"):
        both.ask(**{field: "nope"})


@pytest.mark.parametrize(
    ("setting", "passes"),
    [("first pass", [True, False]), ("second pass", [False, True]), ("both passes", [True, True])],
)
def test_setting_says_which_passes_are_refined(
    setting: str, passes: list[bool], both: Any, levels: Any
) -> None:
    overrides = {"hires_fix_refiner_pass": setting}
    refiner = {"refiner_checkpoint": "other", "refiner_switch_at": 0.0}
    result = both.make(overrides, **HIRES, **refiner)
    if passes[1]:
        same = {"hr_checkpoint_name": "other"}
    else:
        same = {"hr_checkpoint_name": "tiny15"}
    first = OTHER if passes[0] else {}
    expected = both.make(first, **HIRES, **same)
    assert result.images[0].tobytes() == expected.images[0].tobytes()
    told = f"Hires refiner: {setting}" in result.infotexts[0]
    assert told is (setting != "second pass")
    assert "Refiner: other [" in result.infotexts[0]


def test_hires_checkpoint_makes_the_second_pass(both: Any, levels: Any) -> None:
    plain = both.pixels(**HIRES)
    result = both.make(**HIRES, hr_checkpoint_name="other")
    digest = both.services.models.catalogue.find("other").hash
    assert f"Hires checkpoint: other [{digest}], Hires upscale: 1.5" in result.infotexts[0]
    assert levels(plain, both.pixels(**HIRES, hr_checkpoint_name="other")) > 5
    only = both.pixels(OTHER, **HIRES)
    assert levels(only, both.pixels(**HIRES, hr_checkpoint_name="other")) > 5


def test_hires_checkpoint_encodes_the_prompts_itself(both: Any) -> None:
    seen: list[Any] = []

    def note(event: Any) -> None:
        seen.append(event.cond.crossattn)

    both.services.hooks.add("cfg_denoiser", note, "test")
    both.make(**HIRES, hr_checkpoint_name="other", hr_prompt="a wolf")
    second = seen[-1]
    seen.clear()
    both.make(OTHER, prompt="a wolf")
    assert second.equal(seen[0])


def test_pixel_upscalers_decode_with_the_first_model_and_encode_with_the_second(
    both: Any, levels: Any
) -> None:
    values = HIRES | {"hr_upscaler": "Lanczos", "denoising_strength": 0.0}
    result = both.pixels(**values, hr_checkpoint_name="other")
    larger = both.make().images[0].resize((96, 96), Image.Resampling.LANCZOS)
    with both.services.models.use(ModelChoice("other")) as other:
        expected = to_images(other.decode(other.encode_image(to_tensor([larger]))))[0]
    assert levels(result, np.asarray(expected).astype(int)) == 0


def test_latents_go_from_one_model_to_the_other_as_they_are(both: Any, levels: Any) -> None:
    latents: list[Any] = []
    both.services.hooks.add("post_sample", lambda p, latent: latents.append(latent), "test")
    values = HIRES | {"denoising_strength": 0.0}
    result = both.pixels(**values, hr_checkpoint_name="other")
    both.make()
    larger = torch.nn.functional.interpolate(latents[1], (12, 12), mode="bilinear")
    assert latents[0].equal(larger)
    with both.services.models.use(ModelChoice("other")) as other:
        expected = to_images(other.decode(larger))[0]
    assert levels(result, np.asarray(expected).astype(int)) == 0


def test_job_gives_the_models_back_as_they_were(both: Any) -> None:
    models = both.services.models
    with models.use(ModelChoice("tiny15")) as own, models.use(ModelChoice("other")) as other:
        before = [bytes(p.detach().numpy()) for x in (own, other)
                  for p in list(x.networks.unet.parameters())[:20]]  # fmt: skip
    both.make({"tiling": True, "token_merging_ratio": 0.5}, **HIRES, hr_checkpoint_name="other",
              refiner_checkpoint="other", refiner_switch_at=0.2)  # fmt: skip
    with models.use(ModelChoice("tiny15")) as own2, models.use(ModelChoice("other")) as other2:
        after = [bytes(p.detach().numpy()) for x in (own2, other2)
                 for p in list(x.networks.unet.parameters())[:20]]  # fmt: skip
    assert own is own2 and other is other2
    assert before == after
