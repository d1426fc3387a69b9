"""Archives of torch's read as data: the same values as torch gives, and nothing ever runs."""

from __future__ import annotations

import collections
import io
import os
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.core.errors import ModelError
from modules.model_manager.pickle_file import read_small
from modules.model_manager.tensor_archive import NotPlain, read_archive


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch '{self._marker}'",)


def archive(path: Path, code: bytes, storages: dict[str, bytes] | None = None) -> Path:
    """A torch archive around any pickle."""
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("x/data.pkl", code)
        for name, data in (storages or {}).items():
            out.writestr(f"x/data/{name}", data)
    return path


def test_reads_what_torch_wrote(tmp_path: Path) -> None:
    grid = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    content = {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": torch.nn.Parameter(grid)},
        320: [collections.OrderedDict(a=grid.T, b=grid[1:, 2:]), grid.half(), grid.bfloat16()],
        "numbers": (1, -70000, 2**40, 0.5, True, None, "ü"),
        "scalar": torch.tensor(3, dtype=torch.int64),
        "empty": torch.empty(0, 4),
    }
    torch.save(content, tmp_path / "a.pt")
    back = read_archive(tmp_path / "a.pt")
    assert list(back) == list(content)
    assert torch.equal(back["string_to_param"]["*"], grid)
    assert torch.equal(back[320][0]["a"], grid.T)
    assert torch.equal(back[320][0]["b"], grid[1:, 2:])
    assert torch.equal(back[320][1], grid.half())
    assert torch.equal(back[320][2], grid.bfloat16())
    assert back["numbers"] == content["numbers"]
    assert back["scalar"].item() == 3
    assert back["empty"].shape == (0, 4)


def test_a_file_with_code_is_refused_by_name_and_nothing_runs(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    torch.save({"a": torch.zeros(1), "b": Bomb(marker)}, tmp_path / "a.pt")
    with pytest.raises(ModelError, match=r"more than data.*system.*allow_pickles"):
        read_small(tmp_path / "a.pt", allowed=False)
    assert not marker.exists()


@pytest.mark.parametrize(
    "text", ["builtins.eval", "torch._utils._rebuild_tensor_v3", "collections.deque"]
)
def test_only_known_names_are_called(tmp_path: Path, text: str) -> None:
    module, name = text.rsplit(".", 1)
    code = f"c{module}\n{name}\n(X\x01\x00\x00\x001tR.".encode()
    with pytest.raises(NotPlain, match=text.replace(".", r"\.")):
        read_archive(archive(tmp_path / "a.pt", code))


def test_a_tensor_cannot_reach_beyond_its_bytes(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(4)}, buffer)
    with zipfile.ZipFile(buffer) as original:
        name = next(n for n in original.namelist() if n.endswith("data.pkl"))
        code = original.read(name)
    larger = code.replace(b"K\x04\x85", b"K\x50\x85")
    assert larger != code
    with pytest.raises(NotPlain, match="larger than its bytes"):
        read_archive(archive(tmp_path / "a.pt", larger, {"0": bytes(16)}))
    with pytest.raises(NotPlain, match="cut off"):
        read_archive(archive(tmp_path / "b.pt", code, {"0": bytes(8)}))


def test_an_old_pickle_needs_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": torch.zeros(1)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ModelError, match=r"before torch 1\.6.*allow_pickles"):
        read_small(path, allowed=False)
    assert torch.equal(read_small(path, allowed=True)["a"], torch.zeros(1))


def test_damage_is_an_error_with_a_reason(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(3, 4), "b": [1, "x", {"c": (1, 2)}]}, buffer)
    with zipfile.ZipFile(buffer) as original:
        name = next(n for n in original.namelist() if n.endswith("data.pkl"))
        code = bytearray(original.read(name))
    rng = random.Random(3)
    for _ in range(300):
        damaged = bytearray(code)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path = archive(tmp_path / "a.pt", bytes(damaged[: rng.randint(1, len(damaged))]),
                       {"0": bytes(48)})  # fmt: skip
        try:
            read_archive(path)
        except (NotPlain, ModelError) as error:
            assert str(error)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ModelError, match="damaged"):
        read_archive(path)


def test_pickle_protocols_agree(tmp_path: Path) -> None:
    content = {"a": [1, (2, 3), {"b": None}], "c": "x" * 300}
    for protocol in (2, 3, 4, 5):
        path = archive(tmp_path / f"{protocol}.pt", pickle.dumps(content, protocol))
        assert read_archive(path) == content
