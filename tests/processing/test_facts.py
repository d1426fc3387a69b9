"""What infotexts say of settings: only of those that took part."""

from __future__ import annotations

from typing import Any

import pytest

LONG = ", ".join(["a fox with a long tail in the snow"] * 12)
"""More than one chunk of 75 tokens."""


@pytest.mark.parametrize(
    ("overrides", "values", "told"),
    [
        ({"pad_cond_uncond": True}, {"prompt": LONG}, "Pad conds: True"),
        ({"pad_cond_uncond": True}, {}, None),
        ({"pad_cond_uncond_v0": True}, {"negative_prompt": LONG}, "Pad conds v0: True"),
        ({"pad_cond_uncond_v0": True}, {}, None),
        ({"s_min_uncond": 9.0}, {}, "NGMS: 9.0"),
        ({}, {"s_min_uncond": 2.5, "steps": 6}, "NGMS: 2.5"),
        ({"s_min_uncond": 0.001}, {}, None),
        ({"s_min_uncond": 9.0, "s_min_uncond_all": True}, {},
         "NGMS: 9.0, NGMS all steps: True"),
        ({"s_min_uncond_all": True}, {}, None),
        ({"skip_early_cond": 0.3}, {}, "Skip Early CFG: 0.3"),
        ({"always_discard_next_to_last_sigma": True}, {}, "Discard penultimate sigma: True"),
        ({"always_discard_next_to_last_sigma": True}, {"sampler_name": "DDIM"},
         "Discard penultimate sigma: True"),
        ({"always_discard_next_to_last_sigma": True}, {"sampler_name": "DPM2"}, None),
        ({"use_downcasted_alpha_bar": True, "sd_noise_schedule": "Zero Terminal SNR",
          "eta_ancestral": 0.5, "sgm_noise_multiplier": True, "sigma_max": 10.0},
         {"sampler_name": "Euler a", "scheduler": "Karras"},
         "Downcast alphas_cumprod: True, Noise Schedule: Zero Terminal SNR, "
         "Schedule max sigma: 10.0, SGM noise multiplier: True, Eta: 0.5"),
        ({"token_merging_ratio": 0.4}, {}, "Token merging ratio: 0.4"),
        ({"token_merging_ratio_hr": 0.4}, {}, None),
        ({"tiling": True}, {}, "Tiling: True"),
        ({"tiling": True}, {"tiling": False}, None),
        ({}, {"tiling": True}, "Tiling: True"),
        ({"hypertile_enable_unet": True, "hypertile_max_tile_unet": 64}, {},
         "Hypertile U-Net: True, Hypertile U-Net max tile size: 64"),
        ({"hypertile_swap_size_vae": 2}, {}, "Hypertile VAE swap size: 2"),
    ],
)  # fmt: skip
def test_setting_is_named_where_it_took_part(
    overrides: dict[str, Any], values: dict[str, Any], told: str | None, studio: Any
) -> None:
    asked = {"steps": 3, "cfg_scale": 3.0} | values
    (text,) = studio.make(overrides, **asked).infotexts
    end = text.split("Model: tiny15")[1].split(", Version")[0]
    assert end == (f", {told}" if told else "")


def test_second_pass_alone_can_attend_within_tiles(studio: Any) -> None:
    hires = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.6}
    tiles = {"hypertile_max_tile_unet": 16}
    plain = studio.make(**hires)
    second = studio.make(tiles | {"hypertile_enable_unet_secondpass": True}, **hires)
    both = studio.make(tiles | {"hypertile_enable_unet": True}, **hires)
    assert len({result.images[0].tobytes() for result in (plain, second, both)}) == 3
    only_first = studio.make(tiles | {"hypertile_enable_unet_secondpass": True})
    assert only_first.images[0].tobytes() == studio.make().images[0].tobytes()


def test_second_pass_takes_the_ratio_of_the_first_where_it_has_none(studio: Any) -> None:
    hires = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.6}
    base = studio.make({"token_merging_ratio": 0.4}, **hires)
    same = studio.make({"token_merging_ratio": 0.4, "token_merging_ratio_hr": 0.4}, **hires)
    own = studio.make({"token_merging_ratio": 0.4, "token_merging_ratio_hr": 0.6}, **hires)
    assert base.images[0].tobytes() == same.images[0].tobytes() != own.images[0].tobytes()
    assert "Token merging ratio: 0.4, Token merging ratio hr: 0.4" in base.infotexts[0]
    assert "Token merging ratio: 0.4, Token merging ratio hr: 0.6" in own.infotexts[0]


@pytest.mark.parametrize(
    "what",
    [
        {"tiling": True},
        {"token_merging_ratio": 0.5},
        {"hypertile_enable_unet": True, "hypertile_max_tile_unet": 32},
        {"hypertile_enable_vae": True, "hypertile_max_tile_vae": 32, "hypertile_swap_size_vae": 1},
    ],
)
def test_change_ends_with_its_job_also_when_that_fails(what: dict[str, Any], studio: Any) -> None:
    before = studio.make()
    changed = studio.make(what)
    assert changed.images[0].tobytes() != before.images[0].tobytes()

    class Fatal(BaseException):
        pass

    def fail(event: Any) -> None:
        raise Fatal

    studio.services.hooks.add("cfg_denoised", fail, "test")
    with pytest.raises(Fatal):
        studio.make(what)
    studio.services.hooks.remove_owner("test")
    assert studio.make().images[0].tobytes() == before.images[0].tobytes()
