"""Watching and stopping jobs under A1111's names: progress, interrupt, skip, /internal."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from modules.api.route import EaselApp, Previews, Route
from modules.jobs.queue import Job, State
from modules.processing.report import Stop


class ProgressState(BaseModel):
    """A1111's state of the running job; zeros when idle."""

    skipped: bool = False
    interrupted: bool = False
    stopping_generation: bool = False
    job: str = ""
    job_count: int = 0
    job_timestamp: str = "0"
    job_no: int = 0
    sampling_step: int = 0
    sampling_steps: int = 0


class ProgressReply(BaseModel):
    """How far the running job is."""

    progress: float
    """0 to 1."""
    eta_relative: float
    """Seconds left."""
    state: ProgressState
    current_image: str | None = None
    """The live preview in base64, in the format of the setting live_previews_image_format."""
    textinfo: str | None = None


class TaskProgressRequest(BaseModel):
    """Which task, and which preview the client has."""

    id_task: str | None = None
    id_live_preview: int = -1
    live_preview: bool = True


class TaskProgressReply(BaseModel):
    """How far one task is."""

    active: bool
    queued: bool
    completed: bool
    progress: float | None = None
    eta: float | None = None
    live_preview: str | None = None
    """A data URI; null if the client has the newest."""
    id_live_preview: int | None = None
    textinfo: str | None = None


class PendingTasks(BaseModel):
    """What waits in the queue."""

    size: int
    tasks: list[str]


def progress(app: EaselApp, previews: Previews, skip_current_image: bool = False) -> ProgressReply:
    """How far the running job is, with its live preview."""
    job = app.jobs.current
    if job is None:
        # A job that was just submitted counts already, so that nobody takes the queue for idle.
        waiting = len(app.jobs.active())
        return ProgressReply(progress=0, eta_relative=0, state=ProgressState(job_count=waiting))
    format = app.settings.view()["live_previews_image_format"]
    now = job.progress
    return ProgressReply(
        progress=now.fraction,
        eta_relative=now.eta_s(time.monotonic()),
        state=_state(job),
        current_image=None if skip_current_image else previews.encode(job, format),
        textinfo=now.text or None,
    )


def _state(job: Job) -> ProgressState:
    now, stop = job.progress, job.report.stop
    began = datetime.fromtimestamp(job.started or job.created)
    return ProgressState(
        skipped=stop is Stop.SKIP,
        interrupted=stop is Stop.NOW,
        stopping_generation=stop is Stop.AFTER_CURRENT,
        job=job.id,
        job_count=now.passes,
        job_timestamp=began.strftime("%Y%m%d%H%M%S"),
        job_no=max(0, now.pass_number - 1),
        sampling_step=now.step,
        sampling_steps=now.steps,
    )


async def interrupt(app: EaselApp) -> dict[str, Any]:
    """Stop the running job; it answers with what is finished."""
    app.jobs.interrupt()
    return {}


async def skip(app: EaselApp) -> None:
    """Give up the batch at hand and go on with the next."""
    app.jobs.skip()


async def ping() -> dict[str, Any]:
    """Whether the server answers."""
    return {}


def pending_tasks(app: EaselApp) -> PendingTasks:
    """Ids of the tasks that wait."""
    waiting = [job.id for job in app.jobs.active() if job.state is State.QUEUED]
    return PendingTasks(size=len(waiting), tasks=waiting)


def task_progress(
    app: EaselApp, previews: Previews, body: TaskProgressRequest
) -> TaskProgressReply:
    """How far one task is, as the page of A1111 asks for it."""
    job = app.jobs.get(body.id_task or "")
    if job is None or job.state is not State.RUNNING:
        return _resting(app, job)
    now = job.progress
    reply = TaskProgressReply(
        active=True,
        queued=False,
        completed=False,
        progress=now.fraction,
        eta=now.eta_s(time.monotonic()),
        id_live_preview=body.id_live_preview,
        textinfo=now.text or None,
    )
    if body.live_preview and now.preview_id != body.id_live_preview:
        format = app.settings.view()["live_previews_image_format"]
        reply.live_preview = previews.encode_uri(job, format)
        reply.id_live_preview = now.preview_id if reply.live_preview else -1
    return reply


def _resting(app: EaselApp, job: Job | None) -> TaskProgressReply:
    """A task that waits, is over, or was never heard of."""
    is_queued = job is not None and job.state is State.QUEUED
    text = "Waiting…"
    if is_queued:
        ids = [other.id for other in app.jobs.active()]
        place = ids.index(job.id) + 1 if job and job.id in ids else 1
        text = f"In queue: {place}/{len(ids)}"
    return TaskProgressReply(
        active=False,
        queued=is_queued,
        completed=job is not None and not is_queued,
        id_live_preview=-1,
        textinfo=text,
    )


ROUTES = (
    Route("GET", "/sdapi/v1/progress", progress),
    Route("POST", "/sdapi/v1/interrupt", interrupt),
    Route("POST", "/sdapi/v1/skip", skip),
)

OPEN_ROUTES = (Route("GET", "/internal/ping", ping),)

PAGE_ROUTES = (
    Route("GET", "/internal/pending-tasks", pending_tasks),
    Route("POST", "/internal/progress", task_progress),
)
