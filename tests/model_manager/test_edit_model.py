from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from modules.model_manager.edit_model import is_edit_model
from modules.model_manager.kinds import FIRST_CONVOLUTION


@pytest.mark.parametrize(("channels", "wanted"), [(4, False), (8, True), (9, False)])
def test_first_convolution_tells(tmp_path: Path, channels: int, wanted: bool) -> None:
    file = tmp_path / "model.safetensors"
    save_file({FIRST_CONVOLUTION: np.zeros((1, channels, 3, 3), np.float16)}, file)
    assert is_edit_model(file) is wanted


@pytest.mark.parametrize(("channels", "wanted"), [(4, False), (8, True)])
def test_folder_says_it_in_its_unet_config(tmp_path: Path, channels: int, wanted: bool) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text(json.dumps({"in_channels": channels}))
    assert is_edit_model(tmp_path) is wanted


def test_what_cannot_be_read_edits_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no header")
    other = tmp_path / "other.safetensors"
    save_file({"x": np.zeros(1, np.float16)}, other)
    for path in (broken, other, tmp_path, tmp_path / "none.safetensors", tmp_path / "a.ckpt"):
        assert is_edit_model(path) is False
