"""Two checkpoints that differ in every part, and jobs with them."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modules.core.hooks import Hooks
from modules.core.settings import Settings, known_settings
from modules.model_manager import Catalogue, Hashes, ModelManager, VaeCatalogue
from modules.params import Request
from modules.processing.prepare import prepare_request
from modules.processing.report import SilentReport
from modules.processing.result import Result
from modules.processing.run import Services, run_request

SMALL = {"width": 64, "height": 64, "steps": 4, "sampler_name": "Euler", "seed": 7,
         "prompt": "a fox in the snow", "negative_prompt": "blurry"}  # fmt: skip


@pytest.fixture(scope="session")
def two_models(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    """A models folder: `tiny15`, and `other`, which shares no weight with it but the sizes."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("two") / "Stable-diffusion"
    folder.mkdir()
    source = tiny_models / "Stable-diffusion"
    (folder / "tiny15.safetensors").symlink_to(source / "tiny15.safetensors")
    weights = load_file(source / "tiny15.safetensors")
    parts = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.")
    for name, weight in weights.items():
        if name.startswith(parts) and weight.is_floating_point():
            weights[name] = (weight * 0.9).contiguous()
    save_file(weights, folder / "other.safetensors")
    for name in ("tiny15", "other"):
        shutil.copy(source / "tiny15.yaml", folder / f"{name}.yaml")
    shutil.copytree(source / "tiny_clip", folder / "tiny_clip")
    return folder.parent


@pytest.fixture(scope="session")
def pair(two_models: Path, services: Services) -> Iterator[Services]:
    """Services over both models, both of which stay loaded."""
    paths = dataclasses.replace(
        services.paths, checkpoints=(two_models / "Stable-diffusion",), vaes=()
    )
    models = ModelManager(
        Catalogue(paths.checkpoints, Hashes(paths.cache / "two-hashes.json")),
        VaeCatalogue((), paths.checkpoints, None),
        lambda: services.models.placement,
        settings=lambda: known_settings() | {"sd_checkpoints_limit": 2},
        default=two_models / "Stable-diffusion" / "tiny15.safetensors",
    )
    yield Services(models, Hooks(), paths)


@dataclasses.dataclass
class Studio:
    """Makes small pictures without saving them."""

    services: Services

    def ask(self, overrides: dict[str, Any] | None = None, **values: Any) -> Request:
        return prepare_request(
            SMALL | values,
            settings=Settings(None).view(),
            catalogue=self.services.models.catalogue,
            overrides=overrides,
            save_samples=False,
            save_grid=False,
        )

    def make(self, overrides: dict[str, Any] | None = None, **values: Any) -> Result:
        return run_request(self.ask(overrides, **values), self.services, SilentReport())

    def pixels(self, overrides: dict[str, Any] | None = None, **values: Any) -> Any:
        return np.asarray(self.make(overrides, **values).images[0]).astype(int)


@pytest.fixture
def studio(services: Services) -> Studio:
    """Jobs with tiny15, and hooks of this test alone."""
    return Studio(dataclasses.replace(services, hooks=Hooks()))


@pytest.fixture
def both(pair: Services) -> Studio:
    """Jobs with tiny15 or `other`, and hooks of this test alone."""
    return Studio(dataclasses.replace(pair, hooks=Hooks()))


@pytest.fixture
def levels() -> Callable[[Any, Any], int]:
    """The largest difference of two pictures."""
    return lambda one, two: int(np.abs(one - two).max())
