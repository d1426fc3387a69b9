"""The queue: one door for the page, the REST API and the command line.

Holds jobs in memory and writes down in a Store what must outlive the program. Knows nothing of
what a job does: a Backend runs it.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from PIL import Image

from modules.core.errors import BadInput, Busy, EaselError, Interrupted
from modules.jobs.job import Job, State, with_fixed_seeds
from modules.jobs.outcome import Outcome
from modules.jobs.progress import JobReport
from modules.jobs.restore import end_of, restore_jobs, row_of
from modules.jobs.store import NoStore, Store, Value
from modules.params.request import AnyRequest
from modules.processing.report import Report, Stop
from modules.processing.result import Result

__all__ = ["Backend", "FunctionBackend", "Job", "JobQueue", "Move", "State"]

log = logging.getLogger(__name__)


_CANCELLED = "Cancelled while waiting."
_CLOSING = "Easel is closing; the job goes on after its next start."
PICTURE_BYTES = 512 << 20
"""Pictures of finished jobs that stay in memory; they are on the disk as well."""


class Backend(Protocol):
    """Runs one job at a time."""

    def run(self, request: AnyRequest, report: Report) -> Result:
        """Do the work. Raises EaselError for what the user can mend, Interrupted when stopped."""


class Move(StrEnum):
    """Where a waiting job can be moved."""

    FRONT = "front"
    UP = "up"
    DOWN = "down"
    BACK = "back"


class JobQueue:
    """Jobs in order of arrival, run by one worker thread."""

    def __init__(
        self,
        backend: Backend,
        *,
        limit: int = 1000,
        remembered: int = 200,
        store: Store | None = None,
    ) -> None:
        """`limit`: most jobs waiting; `remembered`: how many finished jobs stay readable.

        store: holds the jobs of the program's last run, which begin with `resume()`; without
        one nothing outlives the program.
        """
        self._backend = backend
        self._store = store or NoStore()
        self._limit = limit
        self._remembered = remembered
        self._changed = threading.Condition(threading.RLock())
        restored = restore_jobs(self._store, self._report, time.time())
        self._waiting = restored.waiting
        self._running: Job | None = None
        self._finished = restored.finished[-remembered:]
        self._numbers = itertools.count(restored.next_number)
        self._next_place = max((job.place + 1 for job in self._waiting), default=1)
        self._is_held = bool(self._waiting)
        self._closing = False
        self._goes_on: Job | None = None
        """The job that was running when the queue was closed; it begins anew with the program."""
        self._worker = threading.Thread(target=self._work, name="easel-worker", daemon=True)
        self._worker.start()

    def resume(self) -> None:
        """Begin with the jobs of the program's last run, if there are any."""
        with self._changed:
            self._is_held = False
            self._changed.notify_all()

    def submit(self, request: AnyRequest) -> Job:
        """Put a request at the end of the queue; it is written down when this returns.

        Takes milliseconds, with large pictures tenths of a second: call it from a thread.
        Raises Busy when the queue is full or closing, BadInput when its task id is in use.
        """
        request = with_fixed_seeds(request)
        with self._changed:
            if self._closing:
                raise Busy("Easel is closing; nothing more is taken.")
            if len(self._waiting) >= self._limit:
                raise Busy(f"The queue is full: {self._limit} jobs are waiting.")
            task_id = request.task_id or f"task({request.kind}-{secrets.token_hex(8)})"
            if any(job.id == task_id for job in self.active()):
                raise BadInput("force_task_id", task_id, "a job of this name is running or waiting")
            number = next(self._numbers)
            job = Job(task_id, request, number, self._report(number, request), self._next_place)
            self._next_place += 1
            self._write_down(job)
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

    def move(self, job_id: str, to: Move) -> bool:
        """Let a waiting job run earlier or later; False if none of that name waits."""
        with self._changed:
            at = next((i for i, job in enumerate(self._waiting) if job.id == job_id), None)
            if at is None:
                return False
            last = len(self._waiting) - 1
            places = [job.place for job in self._waiting]
            target = {Move.FRONT: 0, Move.UP: max(0, at - 1), Move.DOWN: min(last, at + 1)}
            self._waiting.insert(target.get(to, last), self._waiting.pop(at))
            changed = {}
            for job, place in zip(self._waiting, places, strict=True):
                if job.place != place:
                    changed[job.number] = job.place = place
            self._store.reorder(changed)
        return True

    def cancel(self, job_id: str) -> bool:
        """Take a waiting job out, or stop a running one now; False if there is no such job."""
        with self._changed:
            if self._running and self._running.id == job_id:
                self._running.report.ask(Stop.NOW)
                return True
            for job in self._waiting:
                if job.id == job_id:
                    self._waiting.remove(job)
                    self._finish(job, State.CANCELLED, Interrupted(_CANCELLED))
                    return True
        return False

    def interrupt(self, *, after_current: bool = False) -> None:
        """Stop the running job, at once or after the batch at hand; nothing happens without one."""
        self._ask(Stop.AFTER_CURRENT if after_current else Stop.NOW)

    def skip(self) -> None:
        """Give up the batch at hand of the running job and go on with its next."""
        self._ask(Stop.SKIP)

    def close(self, timeout_s: float) -> bool:
        """Take nothing more, stop what runs, and wait; True if the worker ended in time.

        With a store, what waits and what runs is made after the next start. Either way those
        who wait for these jobs are told at once.
        """
        with self._changed:
            self._closing = True
            for job in tuple(self._waiting):
                if not self._store.keeps:
                    self.cancel(job.id)
                elif not job.future.done():
                    job.future.set_exception(Interrupted(_CLOSING))
            if self._running:
                self._stop_for_now(self._running)
            self._changed.notify_all()
        self._worker.join(timeout_s)
        if self._worker.is_alive():
            return False
        self._store.close()
        return True

    def _stop_for_now(self, job: Job) -> None:
        """Stop the running job; it begins anew with the program, unless its user stopped it."""
        was_stopped = job.report.stop in (Stop.NOW, Stop.AFTER_CURRENT)
        job.report.ask(Stop.NOW)
        if was_stopped or not self._store.keeps:
            return
        self._goes_on = job
        began: dict[str, Value] = {"state": State.QUEUED, "started": None, "is_stopped": 0}
        self._store.update(job.number, began | {"attempt": job.attempt + 1})

    def _ask(self, stop: Stop) -> None:
        job = self._running
        if job:
            job.report.ask(stop)

    def _work(self) -> None:
        while job := self._next():
            self._run(job)

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(self._may_go_on)
            if self._closing:
                return None
            job = self._waiting.pop(0)
            job.future.set_running_or_notify_cancel()  # from here on nobody can cancel it
            job.state, job.started = State.RUNNING, time.time()
            self._running = job
            self._store.update(job.number, {"state": job.state, "started": job.started})
            return job

    def _may_go_on(self) -> bool:
        return self._closing or bool(self._waiting and not self._is_held)

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
        if isinstance(outcome, Exception):
            _let_go_of_frames(outcome)
        with self._changed:
            self._running = None
            if isinstance(outcome, Exception):
                stopped = isinstance(outcome, Interrupted)
                state = State.CANCELLED if stopped else State.FAILED
            else:
                stopped, state = outcome.interrupted, State.DONE
            if stopped and job is self._goes_on:  # over for this run of the program only
                job.state = State.QUEUED
                self._waiting.insert(0, job)
                self._resolve(job, outcome)
            else:
                self._finish(job, state, outcome)

    def _finish(self, job: Job, state: State, outcome: Result | Exception) -> None:
        job.finished = time.time()
        job.state = state
        if isinstance(outcome, Exception):
            job.error = outcome
        else:
            job.outcome = Outcome.of(outcome)
        self._store.finish(job.number, end_of(job), job.finished)
        self._finished.append(job)
        if not job.future.done():
            self._resolve(job, outcome)
        self._forget_oldest()

    def _resolve(self, job: Job, outcome: Result | Exception) -> None:
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)

    def _forget_oldest(self) -> None:
        """Remember as many finished jobs as allowed, and as many pictures as fit."""
        del self._finished[: -self._remembered]
        size = 0
        for place, job in enumerate(reversed(self._finished)):
            size += (own := _size(job))
            if place and own and size > PICTURE_BYTES:
                job.forget_pictures()

    def _report(self, number: int, request: AnyRequest) -> JobReport:
        every = int(request.settings.get("show_progress_every_n_steps", 10))
        if not request.settings.get("live_previews_enable", True):
            every = -1
        return JobReport(every, lambda: self._store.update(number, {"is_stopped": 1}))

    def _write_down(self, job: Job) -> None:
        try:
            row = row_of(job)
        except ValueError as error:
            log.warning("Job %s cannot be kept over a restart: %s", job.id, error)
        else:
            self._store.add(row)


def _let_go_of_frames(error: BaseException | None) -> None:
    """Forget where an error came from: these frames hold models and latents in memory."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = None
        waiting += [one.__cause__, one.__context__]


def _size(job: Job) -> int:
    """Bytes of the job's pictures in memory."""
    if job.future.cancelled() or not job.future.done() or job.future.exception():
        return 0
    return sum(_bytes(image) for image in job.future.result().images)


def _bytes(image: Image.Image) -> int:
    return image.width * image.height * len(image.getbands())


class FunctionBackend:
    """A Backend made of a function, called in the queue's worker thread."""

    def __init__(self, run: Callable[[AnyRequest, Report], Result]) -> None:
        self._run = run

    def run(self, request: AnyRequest, report: Report) -> Result:
        """Call the function."""
        return self._run(request, report)
