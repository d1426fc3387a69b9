"""Tiny networks of real architectures with random weights, written as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.core.settings import known_settings
from modules.setup.torchvision_compat import install

install()

MakeFile = Callable[..., Path]


def esrgan(scale: int = 4, channels: int = 3, blocks: int = 2) -> Any:
    """ESRGAN's network, 8 wide."""
    import torch
    from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet

    torch.manual_seed(scale * 10 + channels)
    shuffle = {"shuffle_factor": 2} if scale == 2 and channels == 3 else {}
    return RRDBNet(
        in_nc=channels, out_nc=channels, num_filters=8, num_blocks=blocks, scale=scale, **shuffle
    )


def compact(scale: int = 2) -> Any:
    """The small network of realesr-general, two convolutions deep: it sees 4 pixels around."""
    import torch
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.manual_seed(scale)
    return SRVGGNetCompact(num_feat=8, num_conv=2, upscale=scale)


@pytest.fixture
def make_file(tmp_path: Path) -> MakeFile:
    """Writes weights as a file below models/: .safetensors, or a pickle of torch's."""

    def make(name: str, weights: Any, *, key: str = "", legacy: bool = False) -> Path:
        import torch
        from safetensors.torch import save_file

        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        state = weights if isinstance(weights, dict) else weights.state_dict()
        if path.suffix == ".safetensors":
            save_file({k: v.contiguous() for k, v in state.items()}, path)
        else:
            content = {key: state} if key else state
            torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        return path

    return make


@pytest.fixture
def make_upscalers(tmp_path: Path) -> Callable[..., Any]:
    """Upscalers over the files below models/ of this test, with settings."""

    def make(**settings: Any) -> Any:
        from modules.model_manager.lending import lend_cpu
        from modules.model_manager.library import UPSCALER_FOLDERS, FileKind, Library
        from modules.model_manager.upscaler_files import UpscalerFiles
        from modules.postprocess import Upscalers

        values = known_settings() | settings
        folders = [tmp_path / "models" / name for name in UPSCALER_FOLDERS]
        files = UpscalerFiles(Library({FileKind.UPSCALER: folders}), lambda: values)
        return Upscalers(files, lend_cpu, lambda: values)

    return make


@pytest.fixture
def noise() -> Callable[..., Image.Image]:
    """Random pictures, the same each time."""

    def make(width: int, height: int, mode: str = "RGB") -> Image.Image:
        bands = len(Image.new(mode, (1, 1)).getbands())
        levels = np.random.default_rng(7).integers(0, 256, (height, width, bands), dtype=np.uint8)
        planes = [Image.fromarray(levels[..., band]) for band in range(bands)]
        return Image.merge(mode, planes)

    return make


@pytest.fixture
def networks() -> Any:
    """The builders of tiny networks."""
    return SimpleNamespace(esrgan=esrgan, compact=compact)
