"""What becomes of the rows of an earlier run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from modules.core.errors import EaselError, Interrupted
from modules.jobs import FunctionBackend, Job, JobQueue, State, open_store
from modules.jobs.job import with_fixed_seeds
from modules.jobs.progress import JobReport
from modules.jobs.restore import restore_jobs, row_of
from modules.jobs.store import Row, Value
from modules.params import Img2ImgParams, Request, Txt2ImgParams
from modules.processing.report import Report, Stop
from modules.processing.result import Result

NOW = 2_000_000_000.0
SIZE = (8, 8)


def written(**fields: object) -> Row:
    """A job that was just queued."""
    request = Request(params=Txt2ImgParams(prompt="a cat", seed=7), task_id="cat", **fields)
    return row_of(Job("cat", request, 3, JobReport(0), place=5, created=NOW - 60))


def restored(tmp_path: Path, *rows: Row) -> tuple[list[Job], list[Job], list[Row]]:
    """Waiting and finished jobs, and the rows as they are afterwards."""
    store = open_store(tmp_path / "queue.db")
    for row in rows:
        store.add(row)
    found = restore_jobs(store, lambda number, request: JobReport(0), NOW)
    after = store.load()
    store.close()
    return found.waiting, found.finished, after


def test_waiting_job_is_the_same_again(tmp_path: Path) -> None:
    row = written(settings={"CLIP_stop_at_last_layers": 2}, user="ann", style_texts=(("a", "b"),))
    (job,), finished, after = restored(tmp_path, row)
    assert (job.id, job.number, job.place, job.attempt) == ("cat", 3, 5, 1)
    assert (job.state, job.created, job.started) == (State.QUEUED, NOW - 60, None)
    assert job.request == Request.model_validate_json(row.request)
    assert job.request.user == "ann" and job.request.style_texts == (("a", "b"),)
    assert finished == [] and after == [row]


def test_running_job_is_tried_once_more(tmp_path: Path) -> None:
    row = replace(written(), state="running", started=NOW - 30)
    (job,), _, (after,) = restored(tmp_path, row)
    assert (job.state, job.attempt, job.started) == (State.QUEUED, 2, None)
    assert (after.state, after.attempt, after.crashes) == ("queued", 2, 1)


@pytest.mark.parametrize(
    ("changes", "fields", "state", "words"),
    [
        ({"state": "running", "crashes": 1}, {}, State.FAILED, "ended 2 times while this job"),
        ({"state": "running", "is_stopped": 1}, {}, State.CANCELLED, "Stopped"),
        ({}, {"save_samples": False, "save_grid": False}, State.LOST, "nobody waits"),
        ({"request": "{"}, {}, State.FAILED, "cannot read the job"),
        ({"request": '{"params": {"steps": "many"}}'}, {}, State.FAILED, "steps: Input should"),
        ({"request": '{"params": {}, "colour": 1}'}, {}, State.FAILED, "colour: Extra inputs"),
        ({"request": '{"params": {}, "kind": "video"}'}, {}, State.FAILED, "kind: Input should"),
    ],
)
def test_job_that_is_not_made_says_why(
    tmp_path: Path,
    changes: dict[str, Value],
    fields: dict[str, bool],
    state: State,
    words: str,
) -> None:
    row = replace(written(**fields), **changes)  # type: ignore[arg-type]
    waiting, (job,), (after,) = restored(tmp_path, row)
    assert waiting == []
    assert job.state is state and words in str(job.error)
    assert isinstance(job.error, Interrupted if state is State.CANCELLED else EaselError)
    assert (after.state, after.finished, after.error) == (state, NOW, str(job.error))
    with pytest.raises(EaselError):
        job.future.result(0)


def test_grid_alone_is_reason_enough_to_make_a_job(tmp_path: Path) -> None:
    (job,), _, _ = restored(tmp_path, written(save_samples=False))
    assert job.state is State.QUEUED


def test_unreadable_job_still_shows_its_prompt(tmp_path: Path) -> None:
    request = json.dumps({"params": {"prompt": "a cat", "steps": 0.5}})
    _, (job,), _ = restored(tmp_path, replace(written(), request=request))
    assert job.request.params.prompt == "a cat" and "steps" in str(job.error)


def paint(folder: Path) -> FunctionBackend:
    def run(request: Request, report: Report) -> Result:
        if request.params.prompt == "broken":
            raise ZeroDivisionError("no paint")
        images = [Image.new("RGB", SIZE, colour) for colour in ("red", "green", "blue")]
        paths = tuple(folder / f"{index}.png" for index in range(3))
        for image, path in zip(images, paths, strict=True):
            image.save(path)
        info = {"all_seeds": [1, 2], "index_of_first_image": 1, "odd": Path("x")}
        return Result(tuple(images), ("grid", "one", "two"), paths, 1, info, ("careful",))

    return FunctionBackend(run)


@pytest.fixture
def after_restart(tmp_path: Path) -> JobQueue:
    """A queue that knows two finished jobs of the run before."""
    queue = JobQueue(paint(tmp_path), store=open_store(tmp_path / "queue.db"))
    params = Img2ImgParams(prompt="fine", init_images=("x" * 1000,))
    jobs = [
        queue.submit(Request(params=params, task_id="fine")),
        queue.submit(Request(params=Txt2ImgParams(prompt="broken"), task_id="broken")),
    ]
    for job in jobs:
        job.future.exception(10)
    queue.close(5)
    store = open_store(tmp_path / "queue.db")
    assert not any("xxx" in row.request for row in store.load()), "pictures are not kept"
    store.close()
    queue = JobQueue(paint(tmp_path), store=open_store(tmp_path / "queue.db"))
    queue.close(5)
    return queue


def test_finished_jobs_are_still_listed_after_a_restart(after_restart: JobQueue) -> None:
    broken, fine = after_restart.finished()
    assert (fine.id, fine.state, fine.request.kind) == ("fine", State.DONE, "img2img")
    assert fine.request.params.prompt == "fine"
    assert fine.infotexts == ("grid", "one", "two") and fine.warnings == ("careful",)
    assert fine.started and fine.finished and fine.finished >= fine.started
    assert (broken.state, str(broken.error)) == (State.FAILED, "ZeroDivisionError: no paint")
    assert broken.result is None


def test_pictures_of_finished_jobs_come_from_the_disk(
    after_restart: JobQueue, tmp_path: Path
) -> None:
    job = after_restart.get("fine")
    assert job and job.result
    assert [image.getpixel((0, 0)) for image in job.result.images] == [
        (255, 0, 0),
        (0, 128, 0),
        (0, 0, 255),
    ]
    assert job.result.paths == tuple(tmp_path / f"{index}.png" for index in range(3))
    assert job.result.info == {"all_seeds": [1, 2], "index_of_first_image": 1, "odd": "x"}
    (tmp_path / "0.png").unlink()  # the grid
    assert job.result.infotexts == ("one", "two")
    assert job.result.index_of_first_image == job.result.info["index_of_first_image"] == 0
    (tmp_path / "1.png").write_bytes(b"broken")
    assert job.result is None


def test_user_who_stopped_a_job_is_remembered(tmp_path: Path) -> None:
    store = open_store(tmp_path / "queue.db")
    seen: list[str] = []

    def run(request: Request, report: Report) -> Result:
        report_of = queue.current
        assert report_of
        report_of.report.ask(Stop.SKIP)
        seen.extend(f"{row.state} {row.is_stopped}" for row in store.load())
        report_of.report.ask(Stop.NOW)
        seen.extend(f"{row.state} {row.is_stopped}" for row in store.load())
        return Result((), (), (), 0, {})

    queue = JobQueue(FunctionBackend(run), store=store)
    queue.submit(Request(params=Txt2ImgParams())).future.result(10)
    queue.close(5)
    assert seen == ["running 0", "running 1"]


def test_seeds_are_drawn_but_for_scripts() -> None:
    params = Txt2ImgParams(seed=-1, subseed=5)
    drawn = with_fixed_seeds(Request(params=params)).params
    assert 0 <= drawn.seed < 4294967294 and drawn.subseed == 5
    assert drawn.model_copy(update={"seed": -1}) == params
    fixed = Request(params=Txt2ImgParams(seed=0, subseed=0))
    assert with_fixed_seeds(fixed) is fixed


def test_script_gets_a_number_that_its_seeds_follow_from_and_keeps_it() -> None:
    params = Txt2ImgParams(seed=-1)
    asked = [Request(params=params, script_name="X/Y/Z plot") for _ in range(2)]
    one, other = map(with_fixed_seeds, asked)
    assert one.params == params and one.draws_from != other.draws_from
    kept = Request.model_validate_json(one.model_dump_json())
    assert with_fixed_seeds(kept) is kept and kept.draws_from == one.draws_from


def test_job_that_no_json_can_carry_is_made_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    queue = JobQueue(paint(tmp_path), store=open_store(tmp_path / "queue.db"))
    job = queue.submit(Request(params=Txt2ImgParams(), script_args=(object(),)))
    assert job.future.result(10).infotexts == ("grid", "one", "two")
    assert queue.close(5)
    assert "cannot be kept over a restart" in caplog.text
