"""What is told of a folder with pickles before a job is queued."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.core.errors import ModelError
from modules.model_manager.check import check_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tale"
    for name in (
        "model_index.json",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "vae/diffusion_pytorch_model.bin",
        "text_encoder/model.safetensors",
        "safety_checker/pytorch_model.bin",
    ):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"")
    return path


def test_pickled_network_needs_permission(folder: Path) -> None:
    words = r"tale: vae/diffusion_pytorch_model\.bin is a pickle.*allow_pickles in config\.json"
    with pytest.raises(ModelError, match=words):
        check_checkpoint(folder, allow_pickles=False)
    check_checkpoint(folder, allow_pickles=True)


def test_vae_that_is_replaced_needs_none(folder: Path) -> None:
    check_checkpoint(folder, allow_pickles=False, own_vae=False)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"tale: unet/diffusion_pytorch_model\.bin is a pickle"):
        check_checkpoint(folder, allow_pickles=False, own_vae=False)
