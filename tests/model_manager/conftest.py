"""Small models for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from modules.setup.torchvision_compat import install

install()

from modules.model_manager.catalogue import Catalogue  # noqa: E402
from modules.model_manager.device import DeviceChoice  # noqa: E402
from modules.model_manager.hashes import Hashes  # noqa: E402
from modules.model_manager.load import load_checkpoint  # noqa: E402
from modules.model_manager.manager import ModelManager  # noqa: E402
from modules.model_manager.vae import VaeCatalogue  # noqa: E402
from modules.pipelines.sd import StableDiffusion  # noqa: E402
from tools.make_fixtures import tiny, write_checkpoint  # noqa: E402

MODELS = Path(__file__).resolve().parent.parent / "data" / "models"
CPU = torch.device("cpu")
PLACE = DeviceChoice(CPU, torch.float32, torch.float32, "Using the CPU.")


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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the checkpoints a and b, and a broken one."""
    write_checkpoint(tmp_path / "a.safetensors", tiny("sd1"), seed=1)
    write_checkpoint(tmp_path / "b.safetensors", tiny("sd1"), seed=2)
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "broken.safetensors").write_bytes(whole[: len(whole) // 2])
    return tmp_path


@pytest.fixture
def manager(root: Path, models: Path) -> Iterator[ModelManager]:
    """Over `root` and the fixtures' VAEs, on the CPU in float32."""
    hashes = Hashes(root / "cache" / "hashes.json")
    vaes = VaeCatalogue([models / "VAE"], [root], None)
    yield ModelManager(Catalogue([root], hashes), vaes, lambda: PLACE)
    hashes.close()
