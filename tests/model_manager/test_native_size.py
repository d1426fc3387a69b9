from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from modules.model_manager.native_size import DEFAULT_SIZE, read_native_size


def write_header(path: Path, names: tuple[str, ...], metadata: dict[str, str]) -> Path:
    """A safetensors file with one number per tensor."""
    rows = {
        name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]}
        for i, name in enumerate(names)
    }
    header = json.dumps({"__metadata__": metadata, **rows}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4 * len(names)))
    return path


@pytest.mark.parametrize(
    ("names", "metadata", "size"),
    [
        (("a",), {"modelspec.resolution": "128x128"}, 128),
        (("a",), {"modelspec.resolution": "1024x512"}, 512),
        (("a",), {}, 512),
        (("cond_stage_model.model.ln_final.weight",), {}, 768),
        (("conditioner.embedders.1.model.ln_final.weight",), {}, 1024),
        (("conditioner.embedders.1.x",), {"modelspec.resolution": "odd"}, 1024),
    ],
)
def test_native_size_of_a_file(
    tmp_path: Path, names: tuple[str, ...], metadata: dict[str, str], size: int
) -> None:
    assert read_native_size(write_header(tmp_path / "m.safetensors", names, metadata)) == size


def test_native_size_of_a_diffusers_folder(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text('{"sample_size": 96}', encoding="utf-8")
    assert read_native_size(tmp_path) == 768


@pytest.mark.parametrize("name", ["broken.safetensors", "missing.safetensors", "old.ckpt", "."])
def test_native_size_of_what_cannot_be_read_is_the_usual_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"not a model")
    assert read_native_size(tmp_path / name) == DEFAULT_SIZE
