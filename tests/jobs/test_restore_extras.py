"""Jobs of extras outlive the program as the others do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from modules.jobs import Job, State, open_store
from modules.jobs.job import with_fixed_seeds
from modules.jobs.progress import JobReport
from modules.jobs.restore import end_of, restore_jobs, row_of
from modules.jobs.store import Row
from modules.params.extras import ExtrasParams, NamedPicture
from modules.params.request import ExtrasRequest

NOW = 2_000_000_000.0


def request(**fields: object) -> ExtrasRequest:
    picture = NamedPicture(data="aGVsbG8=", name="cat.png")
    params = ExtrasParams(upscaler_1="Lanczos", images=(picture,))
    return ExtrasRequest(params=params, user="ann", settings={"jpeg_quality": 50}, **fields)


def written(**fields: object) -> Row:
    return row_of(Job("x", request(**fields), 3, JobReport(0), place=5, created=NOW - 60))


def restored(tmp_path: Path, row: Row) -> tuple[list[Job], list[Job]]:
    store = open_store(tmp_path / "queue.db")
    store.add(row)
    found = restore_jobs(store, lambda number, request: JobReport(0), NOW)
    store.close()
    return found.waiting, found.finished


def test_waiting_and_running_jobs_go_on(tmp_path: Path) -> None:
    (job,), _ = restored(tmp_path, written())
    assert job.request == request()
    (tmp_path / "queue.db").unlink()
    (job,), _ = restored(tmp_path, replace(written(), state="running"))
    assert (job.request, job.state, job.attempt) == (request(), State.QUEUED, 2)


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (written(save_samples=False), State.LOST),
        (replace(written(), request='{"params": {"upscaling_resize": 0}}'), State.FAILED),
        (replace(written(), request="{"), State.FAILED),
    ],
)
def test_what_cannot_go_on_says_why(row: Row, state: State, tmp_path: Path) -> None:
    _, (job,) = restored(tmp_path, row)
    assert job.state is state and str(job.error)


def test_pictures_leave_the_file_with_the_jobs_end() -> None:
    job = Job("x", request(), 3, JobReport(0), place=5, state=State.DONE)
    kept = json.loads(str(end_of(job)["request"]))
    assert kept["params"]["images"] == [{"data": "", "name": "cat.png"}]
    assert with_fixed_seeds(request()) == request()
