"""Easel's own routes: what the page's script asks for while jobs wait and run."""

from __future__ import annotations

import time

from pydantic import BaseModel, Field

from modules.api.preview import PreviewEncoder
from modules.api.route import EaselApp, Previews, Route, Tokens
from modules.api.tokens import TokenCountReply, TokenCountRequest
from modules.core.app import VERSION, App
from modules.core.errors import EaselError, NotFound
from modules.jobs.queue import Job, Move, State

_PROMPT_CHARACTERS = 80
_FINISHED_SHOWN = 10


class ModelStatus(BaseModel):
    """What the model manager is doing, in one word and in a sentence."""

    state: str
    """none, loading, ready or failed."""
    text: str
    fraction: float = 0


class CurrentJob(BaseModel):
    """The running job."""

    id: str
    number: int
    kind: str
    prompt: str
    """The first 80 characters."""
    user: str
    attempt: int
    """Above 1: the program ended while the job ran, and it is made again."""
    progress: float
    step: int
    steps: int
    pass_number: int = Field(serialization_alias="pass")
    passes: int
    eta_s: float
    text: str
    preview_id: int
    preview: str | None
    """A data URI; null without one, or if the client has it."""


class WaitingJob(BaseModel):
    """A job in the queue."""

    id: str
    number: int
    kind: str
    prompt: str
    user: str
    state: str
    attempt: int


class FinishedJob(BaseModel):
    """A job that is over, of an earlier run of the program too."""

    id: str
    number: int
    kind: str
    prompt: str
    user: str
    state: str
    """done, failed, cancelled, or lost: nobody could have got its pictures after a restart."""
    attempt: int
    error: str | None
    created: float
    """Seconds since 1970, and so are these: null where it never began."""
    started: float | None
    finished: float | None
    seconds: float | None


class JobsReply(BaseModel):
    """All jobs that are remembered."""

    queue: list[WaitingJob]
    """The running one first, then those that wait, in their order."""
    finished: list[FinishedJob]
    """The newest 200, newest first."""


class MoveRequest(BaseModel):
    """Where a waiting job goes."""

    to: Move


class JobReply(BaseModel):
    """One job: where it is, and what came of it."""

    id: str
    state: str
    error: str | None
    infotexts: list[str]
    warnings: list[str]
    seconds: float | None


class StatusReply(BaseModel):
    """Everything that the page shows about the server."""

    version: str
    model: ModelStatus
    current: CurrentJob | None
    queue: list[WaitingJob]
    finished: list[FinishedJob]
    """The newest ten, newest first."""


def status(app: EaselApp, previews: Previews, preview_id: int = -1) -> StatusReply:
    """Model, running job, queue and finished jobs; the preview only if it is a new one."""
    current, jobs = app.jobs.current, app.jobs.active()
    return StatusReply(
        version=VERSION,
        model=_model_status(app),
        current=_current(app, current, previews, preview_id) if current else None,
        queue=[_waiting(job) for job in jobs if job.state is State.QUEUED],
        finished=[_finished(job) for job in app.jobs.finished()[:_FINISHED_SHOWN]],
    )


def job(app: EaselApp, job_id: str) -> JobReply:
    """One job. 404 if it is not known, or no longer."""
    found = app.jobs.get(job_id)
    if found is None:
        raise _unknown(app, job_id)
    return JobReply(
        id=found.id,
        state=found.state,
        error=_error(found),
        infotexts=list(found.infotexts),
        warnings=list(found.warnings),
        seconds=_seconds(found),
    )


def jobs(app: EaselApp) -> JobsReply:
    """Every job of the queue, and those that are over, yesterday's too."""
    return JobsReply(
        queue=[_waiting(job) for job in app.jobs.active()],
        finished=[_finished(job) for job in app.jobs.finished()],
    )


def move(app: EaselApp, job_id: str, body: MoveRequest) -> dict[str, str]:
    """Let a waiting job run earlier or later. 404 if none of that name waits."""
    if not app.jobs.move(job_id, body.to):
        raise _unknown(app, job_id)
    return {}


def cancel(app: EaselApp, job_id: str) -> dict[str, str]:
    """Take a waiting job out of the queue, or stop a running one. 404 if it is neither."""
    if not app.jobs.cancel(job_id):
        raise _unknown(app, job_id)
    return {}


def token_count(app: EaselApp, tokens: Tokens, body: TokenCountRequest) -> TokenCountReply:
    """How many tokens a prompt has, and how many fit into its chunks."""
    return tokens.count(body, app.settings.view(), app.models)


PAGE_ROUTES = (
    Route("GET", "/easel/v1/status", status),
    Route("POST", "/easel/v1/token-count", token_count),
    Route("GET", "/easel/v1/jobs", jobs),
    Route("GET", "/easel/v1/jobs/{job_id:path}", job),
    Route("POST", "/easel/v1/jobs/{job_id:path}/move", move),
    Route("POST", "/easel/v1/jobs/{job_id:path}/cancel", cancel),
)


def _model_status(app: App) -> ModelStatus:
    now = app.models.state
    return ModelStatus(state=now.status, text=now.words, fraction=now.fraction)


def _current(app: App, job: Job, previews: PreviewEncoder, preview_id: int) -> CurrentJob:
    now = job.progress
    preview = None
    if now.preview_id != preview_id:
        format = app.settings.view()["live_previews_image_format"]
        preview = previews.encode_uri(job, format)
    return CurrentJob(
        id=job.id,
        number=job.number,
        kind=job.request.kind,
        prompt=_prompt(job),
        user=job.request.user,
        attempt=job.attempt,
        progress=now.fraction,
        step=now.step,
        steps=now.steps,
        pass_number=now.pass_number,
        passes=now.passes,
        eta_s=now.eta_s(time.monotonic()),
        text=now.text,
        preview_id=now.preview_id,
        preview=preview,
    )


def _waiting(job: Job) -> WaitingJob:
    return WaitingJob(
        id=job.id,
        number=job.number,
        kind=job.request.kind,
        prompt=_prompt(job),
        user=job.request.user,
        state=job.state,
        attempt=job.attempt,
    )


def _finished(job: Job) -> FinishedJob:
    return FinishedJob(
        id=job.id,
        number=job.number,
        kind=job.request.kind,
        prompt=_prompt(job),
        user=job.request.user,
        state=job.state,
        attempt=job.attempt,
        error=_error(job),
        created=job.created,
        started=job.started,
        finished=job.finished,
        seconds=_seconds(job),
    )


def _prompt(job: Job) -> str:
    return job.request.title[:_PROMPT_CHARACTERS]


def _error(job: Job) -> str | None:
    """The message for people; errors that are not ours say their kind too."""
    if job.error is None:
        return None
    if isinstance(job.error, EaselError):
        return str(job.error)
    return f"{type(job.error).__name__}: {job.error}"


def _seconds(job: Job) -> float | None:
    if job.started is None or job.finished is None:
        return None
    return job.finished - job.started


def _unknown(app: App, job_id: str) -> NotFound:
    return NotFound("job", job_id, [job.id for job in app.jobs.active()])
