from __future__ import annotations

from pathlib import Path

import pytest

from modules.core.errors import ModelError
from modules.model_manager.ldm_config import find_ldm_config, read_ldm_config


def test_yaml_beside_the_checkpoint_is_read(models: Path) -> None:
    folder = models / "Stable-diffusion"
    config = find_ldm_config(folder / "tiny15.safetensors")
    assert config is not None
    assert (config.num_heads, config.model_channels, config.context_dim) == (8, 32, 32)
    assert (config.linear_start, config.linear_end, config.timesteps) == (0.00085, 0.012, 1000)
    assert (config.scale_factor, config.prediction) == (0.18215, "epsilon")
    assert config.text_folder() == folder / "tiny_clip"


def test_no_yaml_is_none(tmp_path: Path) -> None:
    assert find_ldm_config(tmp_path / "x.safetensors") is None


SD2 = """
model:
  params:
    parameterization: "v"
    scale_factor: 0.2
    unet_config: {params: {num_heads: -1, num_head_channels: 64, context_dim: 1024}}
    cond_stage_config: {params: {version: laion/CLIP-ViT-H}}
"""
SDXL = """
model:
  target: sgm.models.diffusion.DiffusionEngine
  params:
    scale_factor: 0.13025
    denoiser_config:
      params: {scaling_config: {target: sgm.modules.diffusionmodules.denoiser_scaling.VScaling}}
    network_config: {params: {num_head_channels: 64, context_dim: [2048, 2048]}}
"""


def test_v_parameterization_is_v(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(SD2)
    config = read_ldm_config(path)
    assert config.prediction == "v"
    assert (config.num_heads, config.num_head_channels) == (None, 64)
    assert config.text_version == "laion/CLIP-ViT-H"
    assert config.text_folder() is None


def test_stability_engine_yaml_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(SDXL)
    config = read_ldm_config(path)
    assert (config.prediction, config.scale_factor, config.context_dim) == ("v", 0.13025, 2048)


@pytest.mark.parametrize("text", ["", "a: [", "model: 3", "model: {params: 3}", "[1]", "\x00"])
def test_other_yaml_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ModelError, match=r"a\.yaml: is not an LDM configuration"):
        read_ldm_config(path)
