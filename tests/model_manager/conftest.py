"""Small models for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modules.setup.torchvision_compat import install

install()

from modules.model_manager.load import load_checkpoint  # noqa: E402
from modules.pipelines.sd import StableDiffusion  # noqa: E402
from tools.make_fixtures import tiny, write_checkpoint  # noqa: E402

MODELS = Path(__file__).resolve().parent.parent / "data" / "models"
CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def models() -> Path:
    """Folder of the fixtures that come with the repository."""
    return MODELS


@pytest.fixture(scope="session")
def tiny15() -> StableDiffusion:
    """SD1.5 at a tenth of its width, with its yaml; do not change it."""
    return load_checkpoint(MODELS / "Stable-diffusion" / "tiny15.safetensors", CPU, torch.float32)


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small file of every family; do not change them."""
    folder = tmp_path_factory.mktemp("twins")
    return {
        family: write_checkpoint(folder / f"{family}.safetensors", tiny(family))
        for family in ("sd1", "sd2", "sdxl", "sdxl-refiner")
    }
