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

DATA = Path(__file__).resolve().parent.parent / "data"
CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of test data."""
    return DATA


@pytest.fixture(scope="session")
def tiny15() -> StableDiffusion:
    """SD1.5 at a tenth of its width, with its yaml; do not change it."""
    file = DATA / "models" / "Stable-diffusion" / "tiny15.safetensors"
    return load_checkpoint(file, CPU, torch.float32)


@pytest.fixture(scope="session")
def sdxl_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SDXL file with random weights."""
    return write_checkpoint(tmp_path_factory.mktemp("xl") / "xl.safetensors", tiny("sdxl"))


@pytest.fixture(scope="session")
def sdxl(sdxl_file: Path) -> StableDiffusion:
    """The same, loaded; do not change it."""
    return load_checkpoint(sdxl_file, CPU, torch.float32)
