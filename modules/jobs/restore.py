"""From the rows of the program's last run to jobs, and back.

Decides what becomes of a job that waited or ran when the program ended.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import ValidationError

from modules.core.errors import EaselError, Interrupted
from modules.jobs.job import Job, State, without_pictures
from modules.jobs.outcome import Outcome
from modules.jobs.progress import JobReport
from modules.jobs.store import Row, Store, Value
from modules.params.generation import Txt2ImgParams
from modules.params.request import AnyRequest, ExtrasRequest, Request

log = logging.getLogger(__name__)

MakeReport = Callable[[int, AnyRequest], JobReport]
"""The report of the job of that number."""

EXTRAS: Final = "extras"
CRASHES_ALLOWED: Final = 1
LOST_TEXT: Final = (
    "The program ended before this job was done. Its pictures were not to be saved, and nobody"
    " waits for them any more."
)
CRASHED_TEXT: Final = (
    "The program ended {count} times while this job ran, so it is not tried again. If that was"
    " not the job's doing, queue it once more."
)
STOPPED_TEXT: Final = "Stopped; the program ended before the job did."
OLD_TEXT: Final = "This version of Easel cannot read the job, which an earlier one queued: {why}"


@dataclass(slots=True)
class Restored:
    """The jobs of the last run."""

    waiting: list[Job] = field(default_factory=list)
    """To be made, in their order."""
    finished: list[Job] = field(default_factory=list)
    """Over, oldest first."""
    next_number: int = 1


def restore_jobs(store: Store, make_report: MakeReport, now: float) -> Restored:
    """Read the jobs, decide what becomes of each, and write that down."""
    restored = Restored()
    store.prune(now)
    for row in store.load():
        restored.next_number = max(restored.next_number, row.number + 1)
        job, changes = _restore(row, make_report, now)
        if changes:
            store.update(row.number, changes)
        (restored.waiting if job.state is State.QUEUED else restored.finished).append(job)
    restored.finished.sort(key=lambda job: job.finished or 0)
    if restored.waiting:
        log.info("Jobs of the last run that go on: %d", len(restored.waiting))
    return restored


def row_of(job: Job) -> Row:
    """A new job as it is written down. Raises ValueError where its request is no plain data."""
    return Row(
        number=job.number,
        id=job.id,
        place=job.place,
        kind=job.request.kind,
        user=job.request.user,
        request=job.request.model_dump_json(),
        state=job.state,
        created=job.created,
    )


def end_of(job: Job) -> dict[str, Value]:
    """What is written down of a job that is over; its pictures are not kept here."""
    return {
        "state": job.state,
        "finished": job.finished,
        "error": _text(job.error),
        "outcome": _outcome_text(job.outcome) if job.outcome else None,
        "request": _request_text(without_pictures(job.request)),
    }


def _request_text(request: AnyRequest) -> str:
    try:
        return request.model_dump_json()
    except ValueError:
        return "{}"


def _outcome_text(outcome: Outcome) -> str:
    return json.dumps(outcome.model_dump(warnings=False), default=str)


def _text(error: Exception | None) -> str | None:
    """The message for people; errors that are not ours say their kind too."""
    if error is None or isinstance(error, EaselError):
        return None if error is None else str(error)
    return f"{type(error).__name__}: {error}"


def _restore(row: Row, make_report: MakeReport, now: float) -> tuple[Job, dict[str, Value]]:
    """The job of a row, and the columns that change."""
    request, problem = _read_request(row)
    before = row
    if row.finished is None:
        row = _after_restart(row)
        state, reason = _fate(row, request, problem)
    else:
        state, reason = _state(row.state), row.error
    job = Job(
        row.id,
        request,
        row.number,
        make_report(row.number, request),
        row.place,
        state=state,
        created=row.created,
        started=row.started,
        finished=row.finished,
        attempt=row.attempt,
        outcome=_read_outcome(row),
    )
    if state is State.QUEUED:
        return job, _as_columns(row) if row != before else {}
    job.error = _error(state, reason)
    _resolve(job)
    if row.finished is not None:
        return job, {}
    job.finished = now
    return job, _as_columns(row) | end_of(job)


def _as_columns(row: Row) -> dict[str, Value]:
    return {
        "state": row.state,
        "attempt": row.attempt,
        "crashes": row.crashes,
        "started": row.started,
    }


def _after_restart(row: Row) -> Row:
    """A row whose job ran begins anew; whoever ended the program without a word is counted."""
    if row.state != State.RUNNING:
        return row
    return replace(
        row, state=State.QUEUED, attempt=row.attempt + 1, crashes=row.crashes + 1, started=None
    )


def _fate(row: Row, request: AnyRequest, problem: str | None) -> tuple[State, str | None]:
    """What becomes of a job that was not done, and why if it is not made."""
    if problem:
        return State.FAILED, OLD_TEXT.format(why=problem)
    if row.is_stopped:
        return State.CANCELLED, STOPPED_TEXT
    if not (request.save_samples or request.save_grid):
        return State.LOST, LOST_TEXT
    if row.crashes > CRASHES_ALLOWED:
        return State.FAILED, CRASHED_TEXT.format(count=row.crashes)
    return State.QUEUED, None


def _read_request(row: Row) -> tuple[AnyRequest, str | None]:
    """The request; where it cannot be read, one that shows its prompt, and the reason."""
    try:
        kind = ExtrasRequest if row.kind == EXTRAS else Request
        return kind.model_validate_json(row.request), None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        params = Txt2ImgParams(prompt=_prompt(row.request))
        return Request(params=params, user=row.user), f"{place}: {first['msg']}".lstrip(": ")


def _prompt(request: str) -> str:
    """The prompt of a request that cannot be read otherwise, as far as there is one."""
    try:
        found: Any = json.loads(request)
        return str(found["params"]["prompt"])
    except (ValueError, KeyError, TypeError):
        return ""


def _read_outcome(row: Row) -> Outcome | None:
    try:
        return Outcome.model_validate_json(row.outcome) if row.outcome else None
    except ValidationError:
        return None


def _state(name: str) -> State:
    try:
        return State(name)
    except ValueError:  # of another version
        return State.FAILED


def _error(state: State, reason: str | None) -> EaselError | None:
    if state is State.DONE:
        return None
    kind = Interrupted if state is State.CANCELLED else EaselError
    return kind(reason or "Nothing more is known of this job.")


def _resolve(job: Job) -> None:
    """Nobody may wait for ever for a job that is over."""
    if job.error is not None:
        job.future.set_exception(job.error)
    else:
        job.future.cancel()  # `Job.result` reads the pictures from the disk
