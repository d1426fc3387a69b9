from __future__ import annotations

import collections
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.core.errors import ModelError
from modules.model_manager.pickle_file import converted_checkpoint, read_pickle, read_state_dict
from modules.model_manager.tensor_file import read_tensors


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch '{self._marker}'",)


def test_pickles_are_refused_unless_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"w": torch.ones(2)}, path)
    with pytest.raises(ModelError, match=r"a\.ckpt: is a pickle.*allow_pickles"):
        read_pickle(path, allowed=False)


@pytest.mark.parametrize("zipped", [True, False])
def test_containers_and_tensors_come_back(tmp_path: Path, zipped: bool) -> None:
    half = torch.arange(6, dtype=torch.float16).reshape(2, 3)
    content = {
        768: (collections.OrderedDict(a=half.T), {"b": torch.tensor([True, False])}),
        "step": 10,
        "layers": [1, 2.5, None, "x"],
        "bf16": half.to(torch.bfloat16),
        "scalar": torch.tensor(3.0),
    }
    path = tmp_path / "a.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    back = read_pickle(path, allowed=True)
    assert list(back) == list(content)
    assert torch.equal(back[768][0]["a"], half.T)
    assert torch.equal(back[768][1]["b"], torch.tensor([True, False]))
    assert isinstance(back[768], tuple)
    assert (back["step"], back["layers"]) == (10, [1, 2.5, None, "x"])
    assert torch.equal(back["bf16"], half.to(torch.bfloat16))
    assert back["scalar"].item() == 3.0


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_never_runs(tmp_path: Path, zipped: bool) -> None:
    marker, path = tmp_path / "it ran", tmp_path / "a.ckpt"
    torch.save({"state_dict": {"w": torch.ones(1)}, "bomb": Bomb(marker)}, path,
               _use_new_zipfile_serialization=zipped)  # fmt: skip
    with pytest.raises(ModelError, match=r"holds code \(\S*system\)"):
        read_pickle(path, allowed=True)
    assert not marker.exists()


def test_code_in_a_plain_pickle_never_runs(tmp_path: Path) -> None:
    marker, path = tmp_path / "it ran", tmp_path / "a.pt"
    path.write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(ModelError):
        read_pickle(path, allowed=True)
    assert not marker.exists()
    pickle.loads(path.read_bytes())
    assert marker.exists(), "the test's own pickle must be a live one"


def test_weights_that_share_memory_and_a_state_dict(tmp_path: Path) -> None:
    weight = torch.randn(3, 4)
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": {"a": weight, "b": weight, "n": 3}, "epoch": 1}, path)
    state = read_state_dict(path, allowed=True)
    assert set(state) == {"a", "b"}
    assert torch.equal(state["a"], weight)
    assert torch.equal(state["b"], weight)
    with converted_checkpoint(path, allowed=True) as file:
        assert file.path == path
        read = read_tensors(file, ["a"], torch.device("cpu"))
        where = file.entries["a"].path
    assert torch.equal(read["a"], weight)
    assert not where.exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 not a zip"])
def test_damaged_pickle_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.pt: is no pickle of tensors, or is damaged"):
        read_pickle(path, allowed=True)


@pytest.mark.parametrize("length", [30, 5_000, 100_000])
def test_pickle_that_was_cut_off_says_so(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"w": torch.ones(50_000)}, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ModelError, match=r"a\.ckpt: is no pickle of tensors, or is damaged"):
        read_pickle(path, allowed=True)


def test_missing_file_and_no_tensors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_pickle(tmp_path / "none.pt", allowed=True)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ModelError, match="no named tensors"):
        read_state_dict(tmp_path / "list.pt", allowed=True)
