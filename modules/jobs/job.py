"""A job: one request on its way through the queue."""

from __future__ import annotations

import random
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from modules.jobs.outcome import Outcome
from modules.jobs.progress import JobReport, Progress
from modules.params.request import AnyRequest, ExtrasRequest
from modules.processing.result import Result

DRAW_BITS: Final = 63
"""As many as a whole number in a file of JSON or SQLite safely has."""


class State(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """The program ended before it was done, and nobody could get its pictures any more."""


@dataclass(slots=True)
class Job:
    """One request on its way; changed only by the queue."""

    id: str
    request: AnyRequest
    number: int
    """Grows with each job; the queue goes on counting after a restart."""
    report: JobReport
    place: int
    """Jobs run in the order of their places."""
    state: State = State.QUEUED
    error: Exception | None = None
    created: float = field(default_factory=time.time)
    started: float | None = None
    finished: float | None = None
    attempt: int = 1
    """Above 1: the program ended while the job ran, and it is made again."""
    outcome: Outcome | None = None
    """What is left of the result when its pictures are not in memory any more."""
    future: Future[Result] = field(default_factory=Future)
    """Resolves with the result, or with the error; `asyncio.wrap_future` awaits it."""

    @property
    def progress(self) -> Progress:
        """How far the job is."""
        return self.report.progress

    @property
    def result(self) -> Result | None:
        """The result of a job that is done, also of one that was interrupted half-way.

        Pictures that are not in memory any more are read from the disk: ask once.
        """
        done = self.future.done() and not self.future.cancelled() and not self.future.exception()
        if done:
            return self.future.result()
        return self.outcome.read() if self.outcome else None

    @property
    def infotexts(self) -> tuple[str, ...]:
        """One per picture of a job that is done, grids included; no picture is read for them."""
        return self.outcome.infotexts if self.outcome else ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know about a job that is done."""
        return self.outcome.warnings if self.outcome else ()

    def forget_pictures(self) -> None:
        """Give the memory of the pictures back; who waits for the future has them already."""
        if self.outcome is not None:
            self.future = Future()
            self.future.cancel()


def with_fixed_seeds(request: AnyRequest) -> AnyRequest:
    """The request with a seed drawn for each that is -1, so that it gives the same twice.

    A script draws its own, from a number that is drawn here: to some, -1 means another seed for
    each of their pictures.
    """
    from modules.processing.p import fixed_seed  # numpy: the page comes up without it

    if isinstance(request, ExtrasRequest):
        return request
    draws = random.SystemRandom()
    if request.script_name:
        if request.draws_from is not None:
            return request
        return request.model_copy(update={"draws_from": draws.getrandbits(DRAW_BITS)})
    given = {name: getattr(request.params, name) for name in ("seed", "subseed")}
    drawn = {name: fixed_seed(seed, draws) for name, seed in given.items() if seed in (-1, None)}
    if not drawn:
        return request
    return request.model_copy(update={"params": request.params.model_copy(update=drawn)})


def without_pictures(request: AnyRequest) -> AnyRequest:
    """What a list of finished jobs needs of a request: not the pictures that it started from."""
    if isinstance(request, ExtrasRequest):
        names = tuple(one.model_copy(update={"data": ""}) for one in request.params.images)
        empty = request.params.model_copy(update={"images": names})
        return request.model_copy(update={"params": empty})
    pictures = ("init_images", "mask", "latent_mask", "firstpass_image")
    dropped = {name: None for name in pictures if name in type(request.params).model_fields}
    params = request.params.model_copy(update=dropped)
    return request.model_copy(update={"params": params, "script_args": (), "alwayson_scripts": {}})
