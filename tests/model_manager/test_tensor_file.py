from __future__ import annotations

import json
import struct
from pathlib import Path

import psutil
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


@pytest.mark.parametrize("length", [0x80, 0x4B50])
def test_length_that_begins_like_a_pickle_or_a_zip_is_a_length(tmp_path: Path, length: int) -> None:
    text = json.dumps({"a": ROW}).encode().ljust(length)
    path = with_header(tmp_path / "whole.safetensors", text, bytes(8))
    assert open_tensors(path).shape("a") == (2,)


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


LARGE = 700_001
"""Numbers; more than one piece of the reader's in every format, and an odd tail."""


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("wanted", [torch.float16, torch.bfloat16, torch.float32])
def test_large_tensors_are_cast_as_torch_casts(
    tmp_path: Path, stored: torch.dtype, wanted: torch.dtype
) -> None:
    tensor = torch.randn(LARGE, generator=torch.Generator().manual_seed(0)).to(stored)
    save_file({"a": tensor, "b": tensor[:5].clone()}, tmp_path / "a.safetensors")
    file = open_tensors(tmp_path / "a.safetensors")
    read = read_tensors(file, file.entries, CPU, wanted)
    assert torch.equal(read["a"], tensor.to(wanted))
    assert torch.equal(read["b"], tensor[:5].to(wanted))


def test_eight_bits_end_at_their_largest_number(tmp_path: Path) -> None:
    tensor = torch.tensor([1.0, -2.5, 1000.0, -60000.0], dtype=torch.float16)
    save_file({"a": tensor}, tmp_path / "a.safetensors")
    file = open_tensors(tmp_path / "a.safetensors")
    read = read_tensors(file, ["a"], CPU, lambda name, entry: torch.float8_e4m3fn)
    assert read["a"].float().tolist() == [1.0, -2.5, 448.0, -448.0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("wanted", [None, torch.float32])
def test_tensors_with_values_that_are_no_numbers_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, bad: float, wanted: torch.dtype | None
) -> None:
    spoilt = torch.zeros(LARGE, dtype=torch.float16)
    spoilt[-1] = bad
    save_file({"good": torch.ones(3), "spoilt.weight": spoilt}, tmp_path / "a.safetensors")
    file = open_tensors(tmp_path / "a.safetensors")
    read_tensors(file, ["good"], CPU, wanted)
    assert caplog.messages == []
    read_tensors(file, file.entries, CPU, wanted)
    (message,) = caplog.messages
    assert message.startswith(
        "a.safetensors holds values that are not numbers in 1 tensors: spoilt"
    )


def test_memory_goes_back_when_the_last_tensor_dies(tmp_path: Path) -> None:
    size = 64 << 20
    save_file({"a": torch.zeros(size // 2, dtype=torch.float16)}, tmp_path / "a.safetensors")
    file = open_tensors(tmp_path / "a.safetensors")
    process = psutil.Process()
    before = process.memory_info().rss
    read = read_tensors(file, file.entries, CPU)
    assert process.memory_info().rss - before > 0.9 * size
    del read
    assert process.memory_info().rss - before < 0.1 * size
