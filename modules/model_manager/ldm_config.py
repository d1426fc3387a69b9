"""The LDM `.yaml` beside a checkpoint: what it says that the tensors' shapes cannot say.

Widths and depths come from the shapes (`architecture.py`); where the yaml gives one too, the two
must agree. Layouts read: CompVis/Stability LatentDiffusion and Stability's DiffusionEngine (SDXL).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from modules.core.errors import ModelError
from modules.pipelines.spec import Prediction


@dataclass(frozen=True, slots=True)
class LdmConfig:
    """Facts of one yaml; None where it says nothing."""

    path: Path
    prediction: Prediction
    linear_start: float | None = None
    linear_end: float | None = None
    timesteps: int | None = None
    scale_factor: float | None = None
    model_channels: int | None = None
    in_channels: int | None = None
    context_dim: int | None = None
    num_heads: int | None = None
    num_head_channels: int | None = None
    text_version: str | None = None
    """`version` of the text encoder: a hub name, or a folder beside the yaml."""

    def text_folder(self) -> Path | None:
        """The folder beside the yaml that describes the text encoder, where there is one."""
        if self.text_version is None:
            return None
        folder = self.path.parent / self.text_version
        return folder if (folder / "config.json").is_file() else None


def find_ldm_config(checkpoint: Path) -> LdmConfig | None:
    """Read `<name>.yaml` beside `<name>.safetensors`; None where there is none."""
    path = checkpoint.with_suffix(".yaml")
    return read_ldm_config(path) if path.is_file() else None


def read_ldm_config(path: Path) -> LdmConfig:
    """Read one yaml. Raises ModelError where it is not an LDM configuration."""
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
        params = document["model"]["params"]
        if not isinstance(params, dict):
            raise TypeError("model.params is not a mapping")
        return _from_params(path, params)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ModelError(path, f"is not an LDM configuration ({error}).") from error


def _from_params(path: Path, params: Mapping[str, Any]) -> LdmConfig:
    unet = _params(params, "unet_config") or _params(params, "network_config")
    text = _params(params, "cond_stage_config")
    context = unet.get("context_dim")
    return LdmConfig(
        path=path,
        prediction=_prediction(params),
        linear_start=_number(params, "linear_start"),
        linear_end=_number(params, "linear_end"),
        timesteps=_integer(params, "timesteps"),
        scale_factor=_number(params, "scale_factor"),
        model_channels=_integer(unet, "model_channels"),
        in_channels=_integer(unet, "in_channels"),
        context_dim=int(context[0] if isinstance(context, list) else context) if context else None,
        num_heads=_positive(unet, "num_heads"),
        num_head_channels=_positive(unet, "num_head_channels"),
        text_version=str(text["version"]) if text.get("version") else None,
    )


def _prediction(params: Mapping[str, Any]) -> Prediction:
    if params.get("parameterization") == "v":
        return "v"
    denoiser = _params(params, "denoiser_config")
    scaling = denoiser.get("scaling_config") or {}
    return "v" if str(scaling.get("target", "")).endswith("VScaling") else "epsilon"


def _params(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = parent.get(key)
    params = section.get("params") if isinstance(section, dict) else None
    return params if isinstance(params, dict) else {}


def _number(params: Mapping[str, Any], key: str) -> float | None:
    return None if params.get(key) is None else float(params[key])


def _integer(params: Mapping[str, Any], key: str) -> int | None:
    return None if params.get(key) is None else int(params[key])


def _positive(params: Mapping[str, Any], key: str) -> int | None:
    """LDM writes -1 for "not this one"."""
    value = _integer(params, key)
    return value if value is not None and value > 0 else None
