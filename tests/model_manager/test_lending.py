from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from modules.core.settings import known_settings
from modules.model_manager.cache import Limits, ModelCache
from modules.model_manager.lending import DeviceLender, lend_cpu


class Cache(ModelCache):
    """Notes what room it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def make_room(self, needed: int, limits: Limits, device: torch.device) -> None:
        self.asked.append(needed)


def lender(cache: ModelCache, lock: threading.RLock, device: str) -> DeviceLender:
    def settings() -> Mapping[str, Any]:
        return known_settings()

    return DeviceLender(lock, cache, settings, lambda: torch.device(device))


def is_free(lock: threading.RLock) -> bool:
    """Whether another thread could take it."""
    found: list[bool] = []

    def look() -> None:
        found.append(lock.acquire(blocking=False))
        if found[0]:
            lock.release()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]


def test_device_is_lent_with_room_and_nobody_else_has_it_then() -> None:
    cache, lock = Cache(), threading.RLock()
    with lender(cache, lock, "meta")(1234) as device:
        assert device.type == "meta"
        assert cache.asked == [1234]
        assert not is_free(lock)
    assert is_free(lock)


def test_device_is_given_back_after_an_error() -> None:
    lock = threading.RLock()
    with pytest.raises(ValueError, match="broken"), lender(Cache(), lock, "meta")(1):
        raise ValueError("broken")
    assert is_free(lock)


def test_thread_that_has_the_device_gets_it_again() -> None:
    cache, lock = Cache(), threading.RLock()
    with lock, lender(cache, lock, "meta")(1):
        assert cache.asked == [1]


def test_on_a_cpu_nobody_waits() -> None:
    cache, lock = Cache(), threading.RLock()
    with lender(cache, lock, "cpu")(1) as device:
        assert is_free(lock)
        assert (device.type, cache.asked) == ("cpu", [])


def test_flag_for_the_cpu_lends_the_cpu() -> None:
    with lend_cpu(1) as device:
        assert device == torch.device("cpu")
