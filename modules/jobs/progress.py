"""How far a job is: an unchangeable snapshot, and the Report that makes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image

from modules.processing.report import Stop


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a running job."""

    pass_number: int = 0
    """Sampling passes finished or begun, from 1; 0 before the first."""
    passes: int = 1
    step: int = 0
    steps: int = 0
    text: str = ""
    preview: Image.Image | None = None
    preview_id: int = 0
    """Grows with each new preview, so that a page fetches each only once."""
    started: float = 0.0
    """time.monotonic() when the first pass began."""

    @property
    def fraction(self) -> float:
        """Share of the work that is done, 0 to 1."""
        if not self.pass_number:
            return 0.0
        within = self.step / self.steps if self.steps else 0.0
        return min(1.0, (self.pass_number - 1 + within) / max(1, self.passes))

    def eta_s(self, now: float) -> float:
        """Seconds left at the speed so far; 0 before anything is known."""
        done = self.fraction
        return (now - self.started) * (1 - done) / done if done else 0.0


class JobReport:
    """The Report of one job: written by its worker, read by everyone else."""

    def __init__(self, preview_every: int, on_stop: Callable[[], None] = lambda: None) -> None:
        """`preview_every`: steps between previews, below 1 for none.

        on_stop: called when the whole job is asked to stop, in the thread of who asks.
        """
        self._preview_every = preview_every
        self._on_stop = on_stop
        self._lock = threading.Lock()
        self._progress = Progress()
        self._stop = Stop.NO

    @property
    def progress(self) -> Progress:
        """How far the job is."""
        return self._progress

    @property
    def stop(self) -> Stop:
        """What the user asked for until now."""
        return self._stop

    def ask(self, stop: Stop) -> None:
        """Ask the job to stop in some way; a stronger wish replaces a weaker one."""
        order = (Stop.NO, Stop.SKIP, Stop.AFTER_CURRENT, Stop.NOW)
        with self._lock:
            before, self._stop = self._stop, max(self._stop, stop, key=order.index)
            ends = order.index(self._stop) > max(1, order.index(before))
        if ends:
            self._on_stop()

    def begin(self, passes: int) -> None:
        """The job has so many sampling passes in all."""
        self._progress = Progress(passes=passes, started=time.monotonic())

    def extend(self, passes: int) -> None:
        """The job has so many passes more than was said."""
        self._progress = replace(self._progress, passes=self._progress.passes + passes)

    def begin_pass(self, text: str, steps: int) -> None:
        """A pass starts."""
        number = self._progress.pass_number + 1
        self._progress = replace(self._progress, pass_number=number, step=0, steps=steps, text=text)

    def step(self, step: int, preview: Callable[[], Image.Image] | None = None) -> None:
        """So many steps are done."""
        changes = replace(self._progress, step=step)
        every = self._preview_every
        if preview and every > 0 and step % every == 0 and step < changes.steps:
            changes = replace(changes, preview=preview(), preview_id=changes.preview_id + 1)
        self._progress = changes

    def end_batch(self) -> None:
        """A batch is done; a skip that was asked for is over."""
        with self._lock:
            if self._stop is Stop.SKIP:
                self._stop = Stop.NO
