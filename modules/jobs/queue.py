"""The queue: one door for the page, the REST API and the command line.

Holds jobs in memory, behind the interface that a durable queue keeps. Knows nothing of what a
job does: a Backend runs it.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from PIL import Image

from modules.core.errors import BadInput, Busy, EaselError, Interrupted
from modules.jobs.progress import JobReport, Progress
from modules.params.request import Request
from modules.processing.report import Report, Stop
from modules.processing.result import Result

log = logging.getLogger(__name__)


PICTURE_BYTES = 512 << 20
"""Pictures of finished jobs that stay in memory; they are on the disk as well."""


class Backend(Protocol):
    """Runs one job at a time."""

    def run(self, request: Request, report: Report) -> Result:
        """Do the work. Raises EaselError for what the user can mend, Interrupted when stopped."""


class State(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(slots=True)
class Job:
    """One request on its way; changed only by the queue."""

    id: str
    request: Request
    number: int
    report: JobReport
    state: State = State.QUEUED
    error: Exception | None = None
    created: float = field(default_factory=time.time)
    started: float | None = None
    finished: float | None = None
    future: Future[Result] = field(default_factory=Future)
    """Resolves with the result, or with the error; `asyncio.wrap_future` awaits it."""

    @property
    def progress(self) -> Progress:
        """How far the job is."""
        return self.report.progress

    @property
    def result(self) -> Result | None:
        """The result of a job that is done, also of one that was interrupted half-way."""
        done = self.future.done() and not self.future.cancelled() and not self.future.exception()
        return self.future.result() if done else None


class JobQueue:
    """Jobs in order of arrival, run by one worker thread."""

    def __init__(self, backend: Backend, *, limit: int = 1000, remembered: int = 50) -> None:
        """`limit`: most jobs waiting; `remembered`: how many finished jobs stay readable."""
        self._backend = backend
        self._limit = limit
        self._remembered = remembered
        self._changed = threading.Condition(threading.RLock())
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._finished: list[Job] = []
        self._numbers = itertools.count(1)
        self._closing = False
        self._worker = threading.Thread(target=self._work, name="easel-worker", daemon=True)
        self._worker.start()

    def submit(self, request: Request) -> Job:
        """Put a request at the end of the queue.

        Raises Busy when the queue is full or closing, BadInput when its task id is in use.
        """
        every = int(request.settings.get("show_progress_every_n_steps", 10))
        if not request.settings.get("live_previews_enable", True):
            every = -1
        with self._changed:
            if self._closing:
                raise Busy("Easel is closing; nothing more is taken.")
            if len(self._waiting) >= self._limit:
                raise Busy(f"The queue is full: {self._limit} jobs are waiting.")
            task_id = request.task_id or f"task({request.kind}-{secrets.token_hex(8)})"
            if any(job.id == task_id for job in self.active()):
                raise BadInput("force_task_id", task_id, "a job of this name is running or waiting")
            job = Job(task_id, request, next(self._numbers), JobReport(every))
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def get(self, job_id: str) -> Job | None:
        """The newest job of that id, finished ones included as long as they are remembered."""
        with self._changed:
            known = [*self._finished, *self.active()]
        return next((job for job in reversed(known) if job.id == job_id), None)

    @property
    def current(self) -> Job | None:
        """The job that runs now."""
        return self._running

    def active(self) -> tuple[Job, ...]:
        """The running job, then those that wait, in order."""
        with self._changed:
            return (*((self._running,) if self._running else ()), *self._waiting)

    def finished(self) -> tuple[Job, ...]:
        """Finished jobs that are still remembered, newest first."""
        with self._changed:
            return tuple(reversed(self._finished))

    def cancel(self, job_id: str) -> bool:
        """Take a waiting job out, or stop a running one now; False if there is no such job."""
        with self._changed:
            if self._running and self._running.id == job_id:
                self._running.report.ask(Stop.NOW)
                return True
            for job in self._waiting:
                if job.id == job_id:
                    self._waiting.remove(job)
                    self._finish(job, State.CANCELLED, Interrupted("Cancelled while waiting."))
                    return True
        return False

    def interrupt(self, *, after_current: bool = False) -> None:
        """Stop the running job, at once or after the batch at hand; nothing happens without one."""
        self._ask(Stop.AFTER_CURRENT if after_current else Stop.NOW)

    def skip(self) -> None:
        """Give up the batch at hand of the running job and go on with its next."""
        self._ask(Stop.SKIP)

    def close(self, timeout_s: float) -> bool:
        """Cancel what waits, stop what runs, and wait; True if the worker ended in time."""
        with self._changed:
            self._closing = True
            for job in tuple(self._waiting):
                self.cancel(job.id)
            self._ask(Stop.NOW)
            self._changed.notify_all()
        self._worker.join(timeout_s)
        return not self._worker.is_alive()

    def _ask(self, stop: Stop) -> None:
        job = self._running
        if job:
            job.report.ask(stop)

    def _work(self) -> None:
        while job := self._next():
            self._run(job)

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            job = self._waiting.pop(0)
            job.future.set_running_or_notify_cancel()  # from here on nobody can cancel it
            job.state, job.started = State.RUNNING, time.time()
            self._running = job
            return job

    def _run(self, job: Job) -> None:
        outcome: Result | Exception
        try:
            outcome = self._backend.run(job.request, job.report)
        except EaselError as error:
            outcome = error
        except Exception as error:
            log.exception("Job %s failed", job.id)
            outcome = error
        except BaseException as error:  # SystemExit of a hook, a panic in Rust: the worker lives
            log.exception("Job %s failed", job.id)
            outcome = EaselError(f"The job was ended by {type(error).__name__}: {error}")
        with self._changed:
            self._running = None
            if isinstance(outcome, Exception):
                stopped = isinstance(outcome, Interrupted)
                self._finish(job, State.CANCELLED if stopped else State.FAILED, outcome)
            else:
                self._finish(job, State.DONE, outcome)

    def _finish(self, job: Job, state: State, outcome: Result | Exception) -> None:
        job.finished = time.time()
        job.state = state
        if isinstance(outcome, Exception):
            job.error = outcome
        self._finished.append(job)
        if not job.future.cancelled():
            self._resolve(job, outcome)
        self._forget_oldest()

    def _resolve(self, job: Job, outcome: Result | Exception) -> None:
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)

    def _forget_oldest(self) -> None:
        """Keep the newest finished jobs, as many as allowed and as their pictures fit."""
        size = 0
        for place, job in enumerate(reversed(self._finished)):
            size += sum(_bytes(image) for image in job.result.images) if job.result else 0
            if place and (place >= self._remembered or size > PICTURE_BYTES):
                del self._finished[: len(self._finished) - place]
                return


def _bytes(image: Image.Image) -> int:
    return image.width * image.height * len(image.getbands())


class FunctionBackend:
    """A Backend made of a function, called in the queue's worker thread."""

    def __init__(self, run: Callable[[Request, Report], Result]) -> None:
        self._run = run

    def run(self, request: Request, report: Report) -> Result:
        """Call the function."""
        return self._run(request, report)
