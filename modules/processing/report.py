"""What a running job tells, and how it learns that it should stop."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from PIL import Image


class Stop(StrEnum):
    """What the user asked of a running job."""

    NO = "no"
    SKIP = "skip"
    """Give up the batch at hand, go on with the next."""
    AFTER_CURRENT = "after current"
    """Finish the batch at hand, then stop."""
    NOW = "now"


class Report(Protocol):
    """Passed down to everything that takes time. Calls are cheap and come from one thread."""

    @property
    def stop(self) -> Stop:
        """What the user asked for until now."""

    def begin(self, passes: int) -> None:
        """The job has so many sampling passes in all."""

    def extend(self, passes: int) -> None:
        """The job has so many passes more than was said."""

    def begin_pass(self, text: str, steps: int) -> None:
        """A pass of so many steps starts; `text` says what it is, for people."""

    def step(self, step: int, preview: Callable[[], Image.Image] | None = None) -> None:
        """`step` steps of this pass are done; `preview` makes a picture if someone wants one."""

    def end_batch(self) -> None:
        """A batch is done; a skip that was asked for is over."""


class SilentReport:
    """A Report for callers that watch nothing, such as the command line's tests."""

    stop = Stop.NO

    def begin(self, passes: int) -> None: ...

    def extend(self, passes: int) -> None: ...

    def begin_pass(self, text: str, steps: int) -> None: ...

    def step(self, step: int, preview: Callable[[], Image.Image] | None = None) -> None: ...

    def end_batch(self) -> None: ...
