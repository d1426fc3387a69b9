"""Calls something when nothing has happened for a while: idle models give their memory back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """What `threading.Timer` offers of what is needed here."""

    def start(self) -> None:
        """Begin to wait."""
        ...

    def cancel(self) -> None:
        """Never call."""
        ...


MakeTimer = Callable[[float, Callable[[], None]], Timer]


class IdleWatch:
    """One timer that is set anew whenever something ends. Safe to use from any thread."""

    def __init__(self, act: Callable[[], None], make_timer: MakeTimer | None = None) -> None:
        """`act` runs in the timer's thread and must itself see to it that nothing is in use."""
        self._act = act
        self._make_timer = make_timer or _daemon
        self._lock = threading.Lock()
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Something is in use: wait no more."""
        with self._lock:
            self._stop()

    def end(self, after_s: float) -> None:
        """Nothing is in use any more: act in `after_s` seconds; never, where that is 0."""
        with self._lock:
            self._stop()
            if after_s > 0:
                self._timer = self._make_timer(after_s, self._act)
                self._timer.start()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _daemon(after_s: float, act: Callable[[], None]) -> Timer:
    timer = threading.Timer(after_s, act)
    timer.daemon = True
    return timer
