"""The shipped CLIP and its lists; loaded once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from modules.core.settings import known_settings
from modules.interrogate import Interrogator
from modules.model_manager.lending import lend_cpu
from modules.setup.torchvision_compat import install

install()

ROOT = Path(__file__).parents[2]

Load = Callable[[str], Image.Image]


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Interrogator:
    """The shipped model and lists, kept in memory."""
    settings = {**known_settings(), "interrogate_keep_models_in_memory": True}
    cache, lists = tmp_path_factory.mktemp("cache"), (ROOT / "models/interrogate",)
    return Interrogator([ROOT / "models/CLIP"], lists, cache, lend_cpu, settings=lambda: settings)


@pytest.fixture
def load() -> Load:
    """A real drawing (Fluent Emoji) by name."""

    def open_picture(name: str) -> Image.Image:
        with Image.open(ROOT / f"tests/data/interrogate/{name}.png") as image:
            image.load()
            return image

    return open_picture
