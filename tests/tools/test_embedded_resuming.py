"""A kill leaves nothing half made behind, and finished parts are not done again."""

import json
import tarfile
from pathlib import Path

import pytest
import torch
from torch import nn

from tools.embedded_model.adapt import _keep, _resume
from tools.embedded_model.data import unpack
from tools.embedded_model.mixed import Plan
from tools.embedded_model.results import Results
from tools.embedded_model.train import is_done, plan_of


def archive(folder: Path, name: str) -> Path:
    """A tar file that holds one file."""
    inner = folder / name
    inner.write_text("whole", encoding="utf-8")
    path = folder / f"{name}.tgz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(inner, arcname=f"package/{name}")
    return path


def test_an_interrupted_unpacking_is_begun_anew(tmp_path: Path) -> None:
    path, target = archive(tmp_path, "icons.json"), tmp_path / "set"
    left = tmp_path / "set.partial/package"
    left.mkdir(parents=True)
    (left / "stray.json").write_text("", encoding="utf-8")
    unpack(path, target)
    assert [file.name for file in (target / "package").iterdir()] == ["icons.json"]
    assert not left.exists()


def test_a_package_has_no_name_before_it_is_whole(tmp_path: Path) -> None:
    path = archive(tmp_path, "icons.json")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises((EOFError, tarfile.ReadError)):
        unpack(path, tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_figures_are_known_of_the_checkpoint_they_were_taken_of(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    old, new, same = (tmp_path / name for name in ("old", "new", "same"))
    # A header of four bytes behind its length; another order of it is no other checkpoint.
    old.write_bytes(b"\4" + bytes(7) + b"{ab}old")
    new.write_bytes(b"\4" + bytes(7) + b"{ab}new")
    same.write_bytes(b"\4" + bytes(7) + b"{ba}old")
    results = Results(path, old)
    results.add("sizes", {"96×96": 1})
    results.add("cfg", 2)
    assert Results(path, old).is_known("sizes") and not Results(path, old).is_known("pairs")
    assert Results(path, same).is_known("sizes")
    later = Results(path, new)
    assert not later.is_known("sizes")
    later.add("cfg", 3)
    again = Results(path, new)
    assert again.is_known("cfg") and not again.is_known("sizes")
    figures = json.loads(path.read_text(encoding="utf-8"))
    assert figures["sizes"] == {"96×96": 1} and figures["cfg"] == 3


def test_a_training_is_done_when_its_time_is_used_up(tmp_path: Path) -> None:
    path = tmp_path / "vae.pt"
    plan = Plan(minutes=2, batch=4, rate=1e-3)
    assert not is_done(path, plan)
    for seconds, expected in ((119.9, False), (120.0, True)):
        torch.save({"seconds": seconds, "masters": {}}, path)
        assert is_done(path, plan) is expected


def test_a_short_plan_saves_more_often() -> None:
    assert plan_of(1, 4, 1e-3).save_s == 12
    assert plan_of(100, 4, 1e-3).save_s == 180


def test_a_sample_resumes_beside_the_unet_it_began_with(tmp_path: Path) -> None:
    torch.save({"steps": 10, "seconds": 60.0}, tmp_path / "unet.pt")
    path = tmp_path / "lora.pt"
    weight, other = (nn.Parameter(torch.full((3,), value)) for value in (1.0, 5.0))
    optimisers = [torch.optim.AdamW([parameter]) for parameter in (weight, other)]
    state = _resume(path, [weight], optimisers[0])
    assert (state["steps"], state["seconds"]) == (0, 0.0)
    _keep(path, [weight], optimisers[0], state | {"steps": 25, "seconds": 9.0})
    state = _resume(path, [other], optimisers[1])
    assert (state["steps"], state["seconds"]) == (25, 9.0)
    assert other.tolist() == [1.0] * 3
    torch.save({"steps": 11, "seconds": 66.0}, tmp_path / "unet.pt")
    assert _resume(path, [other], optimisers[1])["steps"] == 0
