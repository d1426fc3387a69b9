"""Every setting that infotexts name changes a picture, and the infotext says so."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image

from modules.core.settings import Settings
from modules.core.settings_table import SETTINGS
from modules.processing.prepare import prepare_request
from modules.processing.report import SilentReport
from modules.processing.run import run_request

NAMES = {row.key: row.infotext for row in SETTINGS if row.infotext}
LONG = ", ".join(["a fox with a long tail in the snow"] * 12)
"""More than one chunk of 75 tokens."""
HIRES = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.6}
KARRAS, ANCESTRAL = {"scheduler": "Karras"}, {"sampler_name": "Euler a"}
UNET = {"hypertile_enable_unet": True, "hypertile_max_tile_unet": 16}
VAE = {"hypertile_enable_vae": True, "hypertile_max_tile_vae": 16}
UNI_PC = {"sampler_name": "UniPC", "steps": 6}
BETA = {"scheduler": "Beta"}
NGMS = {"s_min_uncond": 9.0}

ELSEWHERE = {
    "fp8_storage": "test_fp8: needs the model loaded anew",
    "sd_vae_encode_method": "test_vae_methods: needs a stand-in that fits",
    "sd_vae_decode_method": "test_vae_methods",
    "hires_fix_refiner_pass": "test_refiner: needs two checkpoints",
    "refiner_switch_by_sample_steps": "test_refiner",
    "inpainting_mask_weight": "test_img2img: needs an inpainting model",
    "face_restoration": "needs a network that restores faces",
}


@dataclass(frozen=True)
class Case:
    """A value that differs from the default, and a job in which it matters."""

    value: Any
    job: dict[str, Any] = field(default_factory=dict)
    beside: dict[str, Any] = field(default_factory=dict)
    """Other settings, with and without it."""


CASES = {
    "emphasis": Case("No norm", {"prompt": "a (red:1.6) fox"}),
    "CLIP_stop_at_last_layers": Case(2),
    "randn_source": Case("NV"),
    "tiling": Case(True),
    "s_min_uncond": Case(9.0),
    "s_min_uncond_all": Case(True, beside=NGMS),
    "pad_cond_uncond": Case(True, {"prompt": LONG}),
    "pad_cond_uncond_v0": Case(True, {"negative_prompt": LONG}),
    "token_merging_ratio": Case(0.5),
    "token_merging_ratio_hr": Case(0.5, HIRES),
    "hypertile_enable_unet": Case(True, beside={"hypertile_max_tile_unet": 16}),
    "hypertile_enable_unet_secondpass": Case(True, HIRES, {"hypertile_max_tile_unet": 16}),
    "hypertile_max_depth_unet": Case(0, beside=UNET),
    "hypertile_max_tile_unet": Case(16, beside={"hypertile_enable_unet": True}),
    "hypertile_swap_size_unet": Case(1, {"width": 128}, UNET),
    "hypertile_enable_vae": Case(True, beside={"hypertile_max_tile_vae": 16}),
    "hypertile_max_tile_vae": Case(16, beside={"hypertile_enable_vae": True}),
    "hypertile_swap_size_vae": Case(1, {"width": 128}, VAE),
    "skip_early_cond": Case(0.5),
    "initial_noise_multiplier": Case(0.8, {"kind": "img2img"}),
    "img2img_extra_noise": Case(0.3, {"kind": "img2img"}),
    "eta_ddim": Case(0.7, {"sampler_name": "DDIM"}),
    "eta_ancestral": Case(0.5, ANCESTRAL),
    "s_churn": Case(3.0),
    "s_tmin": Case(5.0, beside={"s_churn": 3.0}),
    "s_tmax": Case(5.0, beside={"s_churn": 3.0}),
    "s_noise": Case(1.1, {"sampler_name": "DPM2 a"}),
    "sigma_min": Case(0.3, KARRAS),
    "sigma_max": Case(9.0, KARRAS),
    "rho": Case(3.0, KARRAS),
    "eta_noise_seed_delta": Case(31337, ANCESTRAL),
    "always_discard_next_to_last_sigma": Case(True),
    "sgm_noise_multiplier": Case(True),
    "uni_pc_variant": Case("bh2", UNI_PC),
    "uni_pc_skip_type": Case("logSNR", UNI_PC),
    "uni_pc_order": Case(2, UNI_PC),
    "uni_pc_lower_order_final": Case(False, UNI_PC),
    "beta_dist_alpha": Case(0.9, BETA),
    "beta_dist_beta": Case(0.9, BETA),
    "sd_noise_schedule": Case("Zero Terminal SNR"),
    "use_downcasted_alpha_bar": Case(True),
    "use_old_scheduling": Case(True, {"prompt": "a [cat:fox:1.0] in the snow"}),
}
NO_EFFECT_HERE = {"hypertile_max_depth_vae": "a VAE has attention on one level only"}

NOT_WRITTEN = {"uni_pc_variant", "uni_pc_skip_type", "uni_pc_order", "uni_pc_lower_order_final"}
"""A1111 1.10 reads these names and never writes them (parity/options/uni_pc_order)."""


def test_every_named_setting_is_tried() -> None:
    assert set(CASES) | set(NO_EFFECT_HERE) | set(ELSEWHERE) >= set(NAMES)
    assert not set(CASES) & set(ELSEWHERE)
    assert all(row.default != CASES[row.key].value for row in SETTINGS if row.key in CASES)


def picture() -> str:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def make(studio: Any, overrides: dict[str, Any], job: dict[str, Any]) -> Any:
    values = {"steps": 4, "width": 64, "height": 64, "seed": 7, "prompt": "a fox in the snow",
              "negative_prompt": "blurry", "sampler_name": "Euler", "scheduler": "Automatic",
              "cfg_scale": 5.0} | job  # fmt: skip
    kind = values.pop("kind", "txt2img")
    if kind == "img2img":
        values |= {"init_images": [picture()], "denoising_strength": 0.6}
    request = prepare_request(
        values,
        kind=kind,
        settings=Settings(None).view(),
        catalogue=studio.services.models.catalogue,
        overrides=overrides,
        save_samples=False,
        save_grid=False,
    )
    return run_request(request, studio.services, SilentReport())


@pytest.mark.parametrize("key", CASES)
def test_named_setting_changes_the_picture_and_is_named(key: str, studio: Any) -> None:
    case = CASES[key]
    without = make(studio, case.beside, case.job)
    result = make(studio, case.beside | {key: case.value}, case.job)
    told = f"{NAMES[key]}: {case.value}"
    assert (told in result.infotexts[0]) == (key not in NOT_WRITTEN)
    assert told not in without.infotexts[0]
    assert result.images[0].tobytes() != without.images[0].tobytes()
