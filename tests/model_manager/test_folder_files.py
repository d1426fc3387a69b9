from __future__ import annotations

from pathlib import Path

import pytest

from modules.core.errors import ModelError
from modules.model_manager.folder_files import find_weights, is_pickled, pickled_parts

BIN, SAFE = "diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"
INDEX = f"{BIN}.index.json"


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], None),
        (["config.json", "openvino_model.bin", "optimizer.bin", "flax_model.msgpack"], None),
        ([BIN, "adapter.bin"], BIN),
        ([BIN, "diffusion_pytorch_model.fp16.bin"], BIN),
        (["diffusion_pytorch_model.non_ema.bin", "diffusion_pytorch_model.fp16.bin"],
         "diffusion_pytorch_model.fp16.bin"),
        (["pytorch_model.bin"], "pytorch_model.bin"),
        ([INDEX, "diffusion_pytorch_model-00001-of-00002.bin"], INDEX),
        ([f"{BIN}.index.fp16.json"], f"{BIN}.index.fp16.json"),
        ([INDEX, BIN, SAFE], SAFE),
        ([BIN, f"{SAFE}.index.json"], f"{SAFE}.index.json"),
        ([BIN, "diffusion_pytorch_model.fp16.safetensors"],
         "diffusion_pytorch_model.fp16.safetensors"),
        (["anything.safetensors"], "anything.safetensors"),
    ],
)  # fmt: skip
def test_safetensors_and_full_precision_go_first(
    tmp_path: Path, names: list[str], found: str | None
) -> None:
    touch(tmp_path, *names)
    weights = find_weights(tmp_path)
    assert weights == (tmp_path / found if found else None)
    if weights:
        assert is_pickled(weights) == ("safetensors" not in weights.name)


def test_a_part_without_its_index_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "pytorch_model-00001-of-00002.bin")
    weights = find_weights(tmp_path)
    assert weights is not None
    with pytest.raises(ModelError, match="index of its parts is gone"):
        pickled_parts(weights)


def test_missing_folder_holds_no_weights(tmp_path: Path) -> None:
    assert find_weights(tmp_path / "none") is None


def test_parts_are_those_of_the_index_and_none_of_another_folder(tmp_path: Path) -> None:
    touch(tmp_path, "b.bin", "a.bin", "c.bin")
    index = tmp_path / INDEX
    index.write_text('{"weight_map": {"x": "b.bin", "y": "../unet/a.bin", "z": "b.bin"}}')
    assert pickled_parts(index) == (tmp_path / "a.bin", tmp_path / "b.bin")
    assert pickled_parts(tmp_path / "c.bin") == (tmp_path / "c.bin",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"weight_map": {"x": "gone.bin"}}', r"names gone\.bin, which is not there"),
        ("{", "is not an index of weights"),
        ("[]", "is not an index of weights"),
        ("{}", "is not an index of weights"),
        ('{"weight_map": {"x": 1}}', "is not an index of weights"),
    ],
)
def test_index_that_cannot_be_followed_says_why(tmp_path: Path, text: str, words: str) -> None:
    index = tmp_path / INDEX
    index.write_text(text)
    with pytest.raises(ModelError, match=words):
        pickled_parts(index)
