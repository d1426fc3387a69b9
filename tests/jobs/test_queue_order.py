"""Whatever is done to a queue, and however often the program dies, the order stays the user's."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from modules.jobs import FunctionBackend, Job, JobQueue, Move, open_store
from modules.params import Request, Txt2ImgParams
from modules.processing.report import Report, Stop
from modules.processing.result import Result


class Painter:
    """A backend whose jobs end when the test says so, or when they are stopped."""

    def __init__(self) -> None:
        self.may_end = threading.Semaphore(0)
        self.begun: list[str] = []
        self.has_begun = threading.Semaphore(0)

    def run(self, request: Request, report: Report) -> Result:
        self.begun.append(request.params.prompt)
        self.has_begun.release()
        while not self.may_end.acquire(timeout=0.005):
            if report.stop is Stop.NOW:
                return Result((), (), (), 0, {}, interrupted=True)
        return Result((), (), (), 0, {})


class Restarts(RuleBasedStateMachine):
    """The real queue on a real file beside a list of names; the first of the list runs."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.names: list[str] = []
        self.runs = False
        self.done: set[str] = set()
        self.count = 0
        self.crashes: dict[str, int] = {}
        self.start(self.folder / "queue.db")

    def start(self, file: Path) -> None:
        self.file = file
        self.painter = Painter()
        self.queue = JobQueue(FunctionBackend(self.painter.run), store=open_store(file))
        self.is_held = bool(self.names)
        self.runs = False

    def expect_next(self) -> None:
        """The worker takes the first of the list as soon as it may."""
        if self.names and not self.runs and not self.is_held:
            assert self.painter.has_begun.acquire(timeout=10)
            assert self.painter.begun[-1] == self.names[0]
            self.runs = True

    @property
    def waiting(self) -> list[str]:
        return self.names[1:] if self.runs else self.names

    @rule()
    def submit(self) -> None:
        self.count += 1
        name = f"job {self.count}"
        self.queue.submit(Request(params=Txt2ImgParams(prompt=name), task_id=name))
        self.names.append(name)
        self.expect_next()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), to=st.sampled_from(Move))
    def move(self, data: st.DataObject, to: Move) -> None:
        name = data.draw(st.sampled_from(self.waiting))
        assert self.queue.move(name, to)
        first, at = int(self.runs), self.names.index(name)
        last = len(self.names) - 1
        places = {Move.FRONT: first, Move.UP: max(first, at - 1), Move.BACK: last}
        self.names.insert(places.get(to, min(last, at + 1)), self.names.pop(at))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.waiting))
        assert self.queue.cancel(name)
        self.names.remove(name)
        self.done.add(name)

    @precondition(lambda self: self.runs)
    @rule()
    def finish_one(self) -> None:
        job = self.queue.current
        assert job and job.id == self.names[0]
        self.painter.may_end.release()
        job.future.result(10)
        self.done.add(self.names.pop(0))
        self.runs = False
        self.expect_next()

    @rule()
    def resume(self) -> None:
        self.queue.resume()
        self.is_held = False
        self.expect_next()

    @rule()
    def close_and_start(self) -> None:
        assert self.queue.close(10)
        self.start(self.file)

    @rule()
    def lose_power_and_start(self) -> None:
        """What lies on the disk at this moment is all that the next program gets."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        for file in self.file.parent.glob("queue.db*"):
            if file.is_file():
                shutil.copy(file, folder / file.name)
        if self.runs:
            name = self.names[0]
            self.crashes[name] = self.crashes.get(name, 0) + 1
            if self.crashes[name] == 2:
                self.names.pop(0)
                self.done.add(name)
        self.queue.close(10)
        self.start(folder / "queue.db")

    @invariant()
    def order_is_the_users(self) -> None:
        jobs: tuple[Job, ...] = self.queue.active()
        assert [job.id for job in jobs] == self.names
        assert [job.number for job in jobs] == [int(name.split()[1]) for name in self.names]

    @invariant()
    def no_job_is_forgotten(self) -> None:
        assert {job.id for job in self.queue.finished()} == self.done

    def teardown(self) -> None:
        self.queue.close(10)
        shutil.rmtree(self.folder)


TestRestarts = Restarts.TestCase
TestRestarts.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
