"""What all tests share: the tiny model, and an Easel around it without a server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import pytest
from hypothesis import settings

from modules.core.hooks import Hooks
from modules.core.paths import Paths, paths_of
from modules.model_manager import Catalogue, Hashes, Library, ModelManager, VaeCatalogue
from modules.setup import torchvision_compat
from modules.setup.flags import parse_flags

torchvision_compat.install()  # before anything imports torchvision beside a CPU build of torch

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):  # the same examples each time; elsewhere new ones
    settings.load_profile("ci")

TINY_MODELS = Path(__file__).parent / "data/models"


@pytest.fixture(scope="session")
def tiny_models() -> Path:
    """A models folder: a complete SD1.5 at a tenth of its width, random weights, and a VAE."""
    return TINY_MODELS


def make_paths(data: Path, models: Path = TINY_MODELS) -> Paths:
    """Paths of an Easel whose outputs and settings lie in `data`."""
    flags = parse_flags(["--data-dir", str(data), "--models-dir", str(models)], {}, data)
    return paths_of(flags, data)


def make_models(paths: Paths) -> ModelManager:
    """A manager over the folders of `paths`, in float32 on the CPU."""
    from modules.model_manager.device import DeviceFlags, Hardware, choose_device

    return ModelManager(
        Catalogue(paths.checkpoints, Hashes(paths.cache / "hashes.json")),
        VaeCatalogue(paths.vaes, paths.checkpoints, None),
        lambda: choose_device(Hardware(None), DeviceFlags()),
        library=Library.of(paths),
    )


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Models, hooks and folders for `run_request`; the tiny model is loaded once a session."""
    import torch

    from modules.processing.run import Services

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the tiny model is faster so, and sums add up in one order
    paths = make_paths(tmp_path_factory.mktemp("data"))
    yield Services(make_models(paths), Hooks(), paths)
    torch.set_num_threads(threads)
