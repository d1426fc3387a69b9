"""The cache against a device that is not the CPU: what moves, what goes, what stays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from modules.core.settings import Settings
from modules.model_manager.cache import GIB, Held, Limits, ModelCache

ACCELERATOR = torch.device("meta")
"""Anything but the CPU; nothing is computed here."""
A, B, C = Path("a"), Path("b"), Path("c")


@dataclass
class Box:
    """As much of a pipeline as the cache sees."""

    size_bytes: int = 10
    device: torch.device = ACCELERATOR
    spare_bytes: int = 0
    """Counted in size_bytes too."""
    is_spoilt: bool = False

    def shed(self) -> None:
        self.size_bytes -= self.spare_bytes
        self.spare_bytes = 0

    def move(self, device: Any) -> None:
        self.device = torch.device(device)


@dataclass
class Device:
    """Counts what lies on it."""

    total: int
    boxes: list[Box]

    def free(self, device: torch.device) -> int:
        return self.total - sum(b.size_bytes for b in self.boxes if b.device == ACCELERATOR)


def add(cache: ModelCache, path: Path, box: Any) -> Held:
    held = Held(box, None, None)
    cache.put(path, held)
    return held


def use(cache: ModelCache, path: Path, limits: Limits) -> None:
    cache.take_back(path, cache.lend(path, limits, ACCELERATOR))


def test_only_the_model_at_work_lies_on_the_device() -> None:
    device = Device(25, [])
    cache, limits = ModelCache(device.free), Limits(count=3)
    boxes = {path: Box() for path in (A, B, C)}
    for path, box in boxes.items():
        cache.make_room(10, limits, ACCELERATOR)
        device.boxes.append(box)
        add(cache, path, box)
        use(cache, path, limits)
    use(cache, A, limits)
    assert [str(boxes[path].device) for path in (A, B, C)] == ["meta", "cpu", "cpu"]
    assert len(cache) == 3


def test_models_go_where_ram_is_not_wanted() -> None:
    boxes = [Box(), Box()]
    device = Device(25, boxes)
    cache, limits = ModelCache(device.free), Limits(count=3, waits_in_ram=False)
    for path, box in zip((A, B), boxes):
        add(cache, path, box)
        use(cache, path, limits)
    assert all(box.device == ACCELERATOR for box in boxes)
    boxes.clear()  # what is dropped is free
    boxes.append(Box(20))
    cache.make_room(10, limits, ACCELERATOR)
    assert len(cache) == 0


def test_lent_model_neither_moves_nor_goes() -> None:
    outer, inner = Box(), Box()
    cache, limits = ModelCache(lambda device: 0), Limits(count=1)
    add(cache, A, outer)
    held = cache.lend(A, limits, ACCELERATOR)
    cache.make_room(10, limits, ACCELERATOR)
    add(cache, B, inner)
    use(cache, B, limits)
    assert (outer.device, len(cache)) == (ACCELERATOR, 2)
    cache.forget_all(ACCELERATOR)
    assert cache.get(A) is held
    assert cache.get(B) is None
    cache.take_back(A, held)
    cache.forget_all(ACCELERATOR)
    assert len(cache) == 0


def test_total_of_bytes_is_kept() -> None:
    cache, limits = ModelCache(lambda device: 1 << 40), Limits(count=9, total_bytes=25)
    for path in (A, B, C):
        cache.make_room(10, limits, ACCELERATOR)
        add(cache, path, Box())
        use(cache, path, limits)
    assert list(cache) == [B, C]


def test_limits_are_the_settings() -> None:
    settings = Settings(None)
    assert Limits.from_settings(settings.view()) == Limits()
    settings.update(
        {
            "sd_checkpoints_limit": 3,
            "sd_checkpoints_keep_in_cpu": False,
            "models_memory_limit_gb": 1.5,
            "sd_vae_checkpoint_cache": 2,
        }
    )
    assert Limits.from_settings(settings.view()) == Limits(3, False, int(1.5 * GIB), 2)


@pytest.mark.parametrize("kept", [0, 1])
def test_vaes_are_kept_up_to_their_number(kept: int) -> None:
    cache, limits = ModelCache(), Limits(vaes=kept)
    vaes: list[Any] = [SimpleNamespace(to=lambda device: None) for _ in range(2)]
    for path, vae in zip((A, B), vaes):
        cache.keep_vae(path, None, vae, limits)
    assert cache.vae(A, None) is None
    assert cache.vae(B, None) is (vaes[1] if kept else None)
    assert cache.vae(B, None) is None, "it was handed out"


def test_what_loras_left_behind_goes_before_a_model() -> None:
    limits = Limits(count=3, total_bytes=25)
    cache = ModelCache(lambda device: 1000)
    first, second = Box(15, spare_bytes=5), Box(15, spare_bytes=5)
    add(cache, A, first)
    add(cache, B, second)
    use(cache, B, limits)
    assert (list(cache), first.size_bytes, second.size_bytes) == ([A, B], 10, 15)
    cache.make_room(5, limits, ACCELERATOR)
    assert (list(cache), second.size_bytes) == ([A, B], 10)
    cache.make_room(15, limits, ACCELERATOR)
    assert list(cache) == [B], "then models go"


def test_lent_model_keeps_what_it_wears() -> None:
    limits = Limits(count=3, total_bytes=25)
    cache = ModelCache(lambda device: 1000)
    box = Box(30, spare_bytes=20)
    add(cache, A, box)
    held = cache.lend(A, limits, ACCELERATOR)
    cache.make_room(20, limits, ACCELERATOR)
    assert (list(cache), box.spare_bytes) == ([A], 20)
    cache.take_back(A, held)
