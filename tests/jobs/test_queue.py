from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from modules.core.errors import BadInput, Busy, Interrupted
from modules.jobs import FunctionBackend, Job, JobQueue, Move, State, open_store
from modules.params import Request, Txt2ImgParams
from modules.processing.report import Report, Stop
from modules.processing.result import Result


def result_of(request: Request, interrupted: bool = False) -> Result:
    image = Image.new("RGB", (8, 8))
    text = request.params.prompt
    return Result((image,), (text,), (None,), 0, {"prompt": text}, interrupted=interrupted)


class Gate:
    """A backend whose jobs wait until the test lets them go, and which notes their order."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.order: list[str] = []

    def run(self, request: Request, report: Report) -> Result:
        self.order.append(request.params.prompt)
        report.begin(1)
        report.begin_pass("", 4)
        self.entered.release()
        while not self.go.acquire(timeout=0.01):
            if report.stop is Stop.NOW:
                return result_of(request, interrupted=True)
        if request.params.prompt == "broken":
            raise ZeroDivisionError("a mistake of ours")
        return result_of(request)


def ask(prompt: str, **fields: object) -> Request:
    return Request(params=Txt2ImgParams(prompt=prompt), **fields)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def queue(gate: Gate) -> Iterator[JobQueue]:
    queue = JobQueue(gate, limit=3)
    yield queue
    gate.go.release(100)
    queue.close(5)


def finish(job: Job) -> Result:
    return job.future.result(timeout=60)


def test_jobs_run_in_order_of_arrival(queue: JobQueue, gate: Gate) -> None:
    jobs = [queue.submit(ask(prompt)) for prompt in "abc"]
    gate.go.release(3)
    assert [finish(job).infotexts[0] for job in jobs] == ["a", "b", "c"]
    assert gate.order == ["a", "b", "c"]
    assert [job.state for job in queue.finished()] == [State.DONE] * 3
    assert [job.number for job in queue.finished()] == [3, 2, 1]


def test_cancelled_waiting_job_never_runs(queue: JobQueue, gate: Gate) -> None:
    first, second, third = (queue.submit(ask(prompt)) for prompt in "abc")
    gate.entered.acquire(timeout=5)
    assert queue.cancel(second.id)
    gate.go.release(2)
    finish(first)
    finish(third)
    assert gate.order == ["a", "c"]
    assert second.state is State.CANCELLED
    assert isinstance(second.error, Interrupted)
    assert not queue.cancel("no such job")


def test_cancelling_the_running_job_stops_it(queue: JobQueue, gate: Gate) -> None:
    job = queue.submit(ask("a"))
    gate.entered.acquire(timeout=5)
    assert queue.current is job
    assert queue.cancel(job.id)
    assert finish(job).interrupted
    assert queue.current is None


def test_interrupt_without_a_job_does_nothing(queue: JobQueue, gate: Gate) -> None:
    queue.interrupt()
    queue.skip()
    job = queue.submit(ask("a"))
    gate.go.release()
    assert not finish(job).interrupted


def test_failed_job_tells_its_error_and_the_next_runs(queue: JobQueue, gate: Gate) -> None:
    broken, fine = queue.submit(ask("broken")), queue.submit(ask("fine"))
    gate.go.release(2)
    with pytest.raises(ZeroDivisionError):
        finish(broken)
    assert broken.state is State.FAILED
    assert broken.result is None
    assert finish(fine).infotexts == ("fine",)


def test_job_that_ends_the_thread_leaves_the_worker_alive() -> None:
    def leave(request: Request, report: Report) -> Result:
        if request.params.prompt == "leave":
            raise SystemExit("bye")
        return result_of(request)

    queue = JobQueue(FunctionBackend(leave))
    left, fine = queue.submit(ask("leave")), queue.submit(ask("fine"))
    assert finish(fine).infotexts == ("fine",)
    assert left.state is State.FAILED
    assert "SystemExit: bye" in str(left.error)
    queue.close(5)


class Heavy:
    """Stands for a model that a failing job has at hand."""


def test_failed_job_lets_go_of_what_it_worked_with() -> None:
    seen: list[weakref.ref[Heavy]] = []

    def fail(request: Request, report: Report) -> Result:
        heavy = Heavy()
        seen.append(weakref.ref(heavy))
        try:
            raise ZeroDivisionError("inner")
        except ZeroDivisionError as error:
            raise BadInput("steps", 0, "1 or more") from error

    queue = JobQueue(FunctionBackend(fail))
    job = queue.submit(ask("broken"))
    with pytest.raises(BadInput):
        finish(job)
    queue.close(5)
    gc.collect()
    assert isinstance(job.error, BadInput) and isinstance(job.error.__cause__, ZeroDivisionError)
    assert seen[0]() is None


def test_full_queue_is_refused_and_keeps_what_it_has(queue: JobQueue, gate: Gate) -> None:
    queue.submit(ask("runs"))
    gate.entered.acquire(timeout=5)
    for prompt in "abc":
        queue.submit(ask(prompt))
    with pytest.raises(Busy, match="3 jobs are waiting"):
        queue.submit(ask("d"))
    assert [job.request.params.prompt for job in queue.active()] == ["runs", "a", "b", "c"]


def test_task_id_is_kept_and_not_given_twice_at_a_time(queue: JobQueue, gate: Gate) -> None:
    job = queue.submit(ask("a", task_id="task(mine)"))
    assert queue.get("task(mine)") is job
    with pytest.raises(BadInput, match="task\\(mine\\)"):
        queue.submit(ask("b", task_id="task(mine)"))
    gate.go.release()
    finish(job)
    assert queue.submit(ask("c", task_id="task(mine)")).state is not State.FAILED


def test_only_the_newest_finished_jobs_are_remembered(gate: Gate) -> None:
    queue = JobQueue(gate, remembered=2)
    gate.go.release(4)
    jobs = [queue.submit(ask(prompt)) for prompt in "abcd"]
    for job in jobs:
        finish(job)
    queue.close(5)
    assert [job.request.params.prompt for job in queue.finished()] == ["d", "c"]
    assert queue.get(jobs[0].id) is None


def test_pictures_of_finished_jobs_take_a_bounded_amount_of_memory() -> None:
    def large(request: Request, report: Report) -> Result:
        image = Image.new("L", (16384, 16384))  # 256 MiB
        return Result((image,), ("",), (None,), 0, {})

    queue = JobQueue(FunctionBackend(large))
    for prompt in "abcd":
        finish(queue.submit(ask(prompt)))
    queue.close(5)
    assert [job.result is not None for job in queue.finished()] == [True, True, False, False]
    assert all(job.state is State.DONE for job in queue.finished())


def test_closing_stops_the_running_job_and_cancels_the_rest(gate: Gate) -> None:
    queue = JobQueue(gate)
    running, waiting = queue.submit(ask("a")), queue.submit(ask("b"))
    gate.entered.acquire(timeout=5)
    assert queue.close(5)
    assert finish(running).interrupted
    assert waiting.state is State.CANCELLED
    with pytest.raises(Busy, match="closing"):
        queue.submit(ask("c"))


def test_progress_counts_passes_and_steps() -> None:
    seen: list[float] = []

    def work(request: Request, report: Report) -> Result:
        report.begin(2)
        for number in range(2):
            report.begin_pass(f"pass {number}", 4)
            for step in range(1, 5):
                report.step(step, lambda: Image.new("RGB", (1, 1)))
                seen.append(queue.current.progress.fraction if queue.current else -1)
        return result_of(request)

    queue = JobQueue(FunctionBackend(work))
    job = queue.submit(ask("a", settings={"show_progress_every_n_steps": 2}))
    finish(job)
    queue.close(5)
    assert seen == [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0]
    assert job.progress.preview_id == 2, "one preview a pass: step 2; step 4 is the picture itself"


def names(queue: JobQueue) -> list[str]:
    return [job.request.params.prompt for job in queue.active()]


@pytest.mark.parametrize(
    ("name", "to", "expected"),
    [
        ("c", Move.FRONT, "rcab"),
        ("c", Move.UP, "racb"),
        ("a", Move.UP, "rabc"),
        ("a", Move.DOWN, "rbac"),
        ("c", Move.DOWN, "rabc"),
        ("a", Move.BACK, "rbca"),
    ],
)
def test_waiting_job_can_be_moved(
    queue: JobQueue, gate: Gate, name: str, to: Move, expected: str
) -> None:
    queue.submit(ask("r"))
    gate.entered.acquire(timeout=5)
    for prompt in "abc":
        queue.submit(ask(prompt, task_id=prompt))
    assert queue.move(name, to)
    assert "".join(names(queue)) == expected
    gate.go.release(4)
    finish(queue.active()[-1])
    assert "".join(gate.order) == expected


def test_only_waiting_jobs_can_be_moved(queue: JobQueue, gate: Gate) -> None:
    queue.submit(ask("r", task_id="r"))
    gate.entered.acquire(timeout=5)
    assert not queue.move("r", Move.BACK)
    assert not queue.move("no such job", Move.FRONT)


def test_closing_with_a_store_tells_those_who_wait_and_keeps_the_jobs(
    gate: Gate, tmp_path: Path
) -> None:
    queue = JobQueue(gate, store=open_store(tmp_path / "queue.db"))
    running, waiting = queue.submit(ask("a")), queue.submit(ask("b"))
    gate.entered.acquire(timeout=5)
    assert queue.close(5) and queue.close(5)
    assert finish(running).interrupted
    with pytest.raises(Interrupted, match="goes on after its next start"):
        finish(waiting)
    assert names(queue) == ["a", "b"] and queue.finished() == ()
    assert running.state is waiting.state is State.QUEUED
    queue = JobQueue(gate, store=open_store(tmp_path / "queue.db"))
    assert [(job.id, job.attempt) for job in queue.active()] == [(running.id, 2), (waiting.id, 1)]
    assert queue.submit(ask("c")).number == 3
    queue.close(5)


def test_job_that_its_user_stopped_does_not_come_back(gate: Gate, tmp_path: Path) -> None:
    queue = JobQueue(gate, store=open_store(tmp_path / "queue.db"))
    job = queue.submit(ask("a"))
    gate.entered.acquire(timeout=5)
    assert queue.cancel(job.id)
    assert queue.close(5)
    store = open_store(tmp_path / "queue.db")
    assert [row.state for row in store.load()] == ["done"]  # with what there was
    store.close()


def test_jobs_of_the_last_run_wait_for_the_program(gate: Gate, tmp_path: Path) -> None:
    queue = JobQueue(gate, store=open_store(tmp_path / "queue.db"))
    queue.submit(ask("a", task_id="a"))
    gate.entered.acquire(timeout=5)
    queue.close(5)
    queue = JobQueue(gate, store=open_store(tmp_path / "queue.db"))
    job = queue.get("a")
    assert job
    assert not gate.entered.acquire(timeout=0.05)
    queue.resume()
    gate.go.release()
    assert not finish(job).interrupted
    assert queue.close(5)
