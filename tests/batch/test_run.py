"""Batches on a real queue; only the pictures are drawn instead of generated."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from modules.batch import BatchRun, Item, plan_items
from modules.core.errors import BadInput, Interrupted, ModelError
from modules.jobs.queue import FunctionBackend, JobQueue
from modules.params import Txt2ImgParams
from modules.params.request import Request
from modules.processing.report import Report, Stop
from modules.processing.result import Result

WAIT_S = 10


class Painter:
    """Pictures with the prompt as infotext; "wait" waits for `go`, "broken" raises."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.go = threading.Event()
        self.began = threading.Event()

    def __call__(self, request: Request, report: Report) -> Result:
        prompt = request.params.prompt
        self.prompts.append(prompt)
        self.began.set()
        if "broken" in prompt:
            raise ModelError("tiny", "the file is cut off")
        if "fault" in prompt:
            raise ZeroDivisionError("by zero")
        while "wait" in prompt and report.stop is Stop.NO and not self.go.wait(0.01):
            pass
        if report.stop is Stop.SKIP:
            report.end_batch()
            raise Interrupted("Stopped before there was a picture.")
        if report.stop is Stop.NOW:
            raise Interrupted("Stopped before there was a picture.")
        count = request.params.batch_size
        return Result(
            images=tuple(Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(count + 1)),
            infotexts=("grid", *(f"{prompt} {i}" for i in range(count))),
            paths=(None,) * (count + 1),
            index_of_first_image=1,
            info={},
        )


@pytest.fixture
def painter() -> Painter:
    return Painter()


@pytest.fixture
def queue(painter: Painter) -> Iterator[JobQueue]:
    made = JobQueue(FunctionBackend(painter))
    yield made
    painter.go.set()
    made.close(WAIT_S)


def batch(
    queue: JobQueue, folder: Path, *names: str, count: int = 1, skips: bool = True
) -> BatchRun:
    def make(item: Item) -> Request:
        if "unreadable" in item.name:
            raise BadInput(item.source.name, "6 bytes", "a picture is needed")
        return Request(params=Txt2ImgParams(prompt=item.name, batch_size=count))

    items = plan_items([Path(f"{name}.jpg") for name in names], None)
    run = BatchRun(items, folder / "out", make, queue.submit, skips_done=skips)
    run.start()
    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out").iterdir())


def test_results_keep_the_names_and_leave_out_grids(queue: JobQueue, tmp_path: Path) -> None:
    run = batch(queue, tmp_path, "a", "b", count=2)
    assert run.wait(WAIT_S)
    assert names(tmp_path) == ["a-1.png", "a.png", "b-1.png", "b.png"]
    texts = []
    for name in ("a.png", "b-1.png"):
        with Image.open(tmp_path / "out" / name) as image:
            texts.append(image.info["parameters"])
    assert texts == ["a 0", "b 1"]
    progress = run.progress
    assert (progress.done, progress.total, progress.state) == (2, 2, "done")


def test_bad_pictures_are_reported_and_the_rest_go_on(queue: JobQueue, tmp_path: Path) -> None:
    run = batch(queue, tmp_path, "a", "unreadable", "broken", "fault", "b")
    assert run.wait(WAIT_S)
    assert names(tmp_path) == ["a.png", "b.png"]
    progress = run.progress
    assert (progress.done, progress.failed, progress.state) == (2, 3, "done")
    reasons = dict(progress.failures)
    assert "a picture is needed" in reasons["unreadable.jpg"]
    assert "cut off" in reasons["broken.jpg"]
    assert reasons["fault.jpg"] == "ZeroDivisionError: by zero"


def test_stopped_batch_goes_on_where_it_was(
    queue: JobQueue, tmp_path: Path, painter: Painter
) -> None:
    run = batch(queue, tmp_path, "a", "wait", "b")
    while run.progress.current != "wait.jpg" or not run.progress.job_id:
        assert run.wait(0.01) is False
    run.stop()
    assert run.wait(WAIT_S)
    assert run.progress.state == "stopped"
    assert names(tmp_path) == ["a.png"]
    painter.prompts.clear()
    painter.go.set()
    again = batch(queue, tmp_path, "a", "wait", "b")
    assert again.wait(WAIT_S)
    assert painter.prompts == ["wait", "b"]
    assert (again.progress.skipped, again.progress.done, again.progress.state) == (1, 2, "done")


def test_interrupting_a_job_stops_the_batch(
    queue: JobQueue, tmp_path: Path, painter: Painter
) -> None:
    run = batch(queue, tmp_path, "wait", "b")
    assert painter.began.wait(WAIT_S)
    queue.interrupt()
    assert run.wait(WAIT_S)
    assert (run.progress.state, painter.prompts) == ("stopped", ["wait"])


def test_skipping_a_job_goes_on_with_the_next(
    queue: JobQueue, tmp_path: Path, painter: Painter
) -> None:
    run = batch(queue, tmp_path, "wait", "b")
    assert painter.began.wait(WAIT_S)
    queue.skip()
    assert run.wait(WAIT_S)
    assert names(tmp_path) == ["b.png"]
    assert run.progress.failures == (("wait.jpg", "skipped or cancelled"),)


def test_without_skipping_nothing_is_overwritten(queue: JobQueue, tmp_path: Path) -> None:
    for _ in range(2):
        assert batch(queue, tmp_path, "a", skips=False).wait(WAIT_S)
    assert names(tmp_path) == ["a-1.png", "a.png"]


def test_folder_that_cannot_be_made_is_refused(queue: JobQueue, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(BadInput, match="batch_output_dir"):
        batch(queue, tmp_path, "a")
