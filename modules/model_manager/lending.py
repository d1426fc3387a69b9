"""The device for what is no checkpoint (interrogation, say): room beside the models. No torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from modules.model_manager.cache import Limits, ModelCache, give_memory_back

if TYPE_CHECKING:  # carries torch
    import torch


class DeviceLender:
    """Lends the manager's device; its cache stays the one owner of the memory there."""

    def __init__(
        self,
        lock: threading.RLock,
        cache: ModelCache,
        settings: Callable[[], Mapping[str, Any]],
        device: Callable[[], torch.device],
    ) -> None:
        """lock: the manager's, under which the cache may be touched; device: asked when needed."""
        self._lock = lock
        self._cache = cache
        self._settings = settings
        self._device = device

    @contextmanager
    def __call__(self, size_bytes: int) -> Iterator[torch.device]:
        """The device with room for so many bytes; waits for a running job, but not on a CPU.

        A job's own thread does not wait. What was loaded must be gone when the block ends.
        """
        device = self._device()
        if device.type == "cpu":
            yield device
            return
        with self._lock:
            self._cache.make_room(size_bytes, Limits.from_settings(self._settings()), device)
            try:
                yield device
            finally:
                give_memory_back(device)


@contextmanager
def lend_cpu(size_bytes: int) -> Iterator[torch.device]:
    """The CPU, at once: what `--use-cpu` asks for."""
    import torch

    yield torch.device("cpu")
