from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from modules.core.errors import ModelError
from modules.model_manager.tensor_file import open_sharded, open_tensors, read_tensors

CPU = torch.device("cpu")


def with_header(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.fixture
def sample(tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    tensors = {
        "half": torch.randn(3, 5).half(),
        "brain": torch.randn(7).bfloat16(),
        "full": torch.randn(2, 2, 2),
        "whole": torch.arange(4),
        "scalar": torch.tensor(2.5),
        "none": torch.zeros(0, 3),
    }
    save_file(tensors, tmp_path / "a.safetensors", metadata={"k": "v"})
    return tmp_path / "a.safetensors", tensors


def test_tensors_equal_those_saved(sample: tuple[Path, dict[str, torch.Tensor]]) -> None:
    path, tensors = sample
    file = open_tensors(path)
    read = read_tensors(file, file.entries, CPU)
    assert file.metadata == {"k": "v"}
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


def test_cast_changes_floats_and_leaves_integers(
    sample: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    path, tensors = sample
    file = open_tensors(path)
    read = read_tensors(file, file.entries, CPU, torch.float32)
    for name, tensor in tensors.items():
        expected = tensor.float() if tensor.is_floating_point() else tensor
        assert torch.equal(read[name], expected)
        assert read[name].dtype == expected.dtype


def test_progress_rises_to_one(sample: tuple[Path, dict[str, torch.Tensor]]) -> None:
    file = open_tensors(sample[0])
    heard: list[float] = []
    read_tensors(file, file.entries, CPU, progress=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 1


def test_shards_are_read_as_one(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "1.safetensors")
    save_file({"b": torch.zeros(3)}, tmp_path / "2.safetensors")
    index = tmp_path / "x.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}))
    file = open_sharded(index)
    read = read_tensors(file, ["b", "a"], CPU)
    assert torch.equal(read["a"], torch.ones(2))
    assert torch.equal(read["b"], torch.zeros(3))


ROW = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"abc", "is not a safetensors file"),
        (b"PK\x03\x04" + b"x" * 60, "is not a safetensors file"),
        (b"\x80\x02}q\x00." + b"x" * 60, "is not a safetensors file"),
        (struct.pack("<Q", 9999) + b"{}", "header should take 9999 bytes"),
        (struct.pack("<Q", 4) + b"nope", "not JSON"),
        (struct.pack("<Q", 4) + b"[1] ", "not a JSON object"),
    ],
)
def test_damaged_file_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=words) as caught:
        open_tensors(path)
    assert "broken.safetensors" in str(caught.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (ROW | {"dtype": "F7"}, "unknown format F7"),
        (ROW | {"shape": [3]}, "does not fit its bytes"),
        (ROW | {"shape": None}, "damaged header"),
        (ROW | {"data_offsets": [8]}, "damaged header"),
        (ROW | {"data_offsets": [-8, 0]}, "does not fit its bytes"),
        ("text", "damaged header"),
        (ROW, "is truncated"),
    ],
)
def test_damaged_header_is_named(tmp_path: Path, row: object, words: str) -> None:
    path = with_header(tmp_path / "broken.safetensors", {"a": row}, b"1234")
    with pytest.raises(ModelError, match=words):
        open_tensors(path)


def test_missing_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        open_tensors(tmp_path / "gone.safetensors")


def test_file_cut_after_opening_is_an_error_not_a_crash(
    sample: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    path, _ = sample
    file = open_tensors(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelError, match="truncated"):
        read_tensors(file, file.entries, CPU)


def test_tensors_outlive_their_file(sample: tuple[Path, dict[str, torch.Tensor]]) -> None:
    path, tensors = sample
    file = open_tensors(path)
    read = read_tensors(file, file.entries, CPU)
    path.write_bytes(b"")
    path.unlink()
    assert torch.equal(read["half"], tensors["half"])
