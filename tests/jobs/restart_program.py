"""A program with a queue that the tests kill: `restart_program.py FOLDER SCENE [PROMPT …]`.

Scenes: `hang` hangs in the job `b`; `close` closes the queue in the job `b`; `die` ends without a
word in the job `b`; `run` makes everything and ends. Each prints what begins and what is done.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from PIL import Image

from modules.core.errors import Interrupted
from modules.jobs import FunctionBackend, JobQueue, open_store
from modules.params import Request, Txt2ImgParams
from modules.processing.report import Report, Stop
from modules.processing.result import Result


def main(folder: Path, scene: str, prompts: list[str]) -> None:
    are_in = threading.Event()

    def work(request: Request, report: Report) -> Result:
        prompt = request.params.prompt
        are_in.wait()
        job = queue.current
        assert job
        say(f"begin {prompt} try {job.attempt}")
        if prompt == "b" and scene == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if prompt == "b" and scene != "run":
            say("in b")
            while report.stop is not Stop.NOW:
                threading.Event().wait(0.01)
            raise Interrupted("stopped")
        path = folder / f"{prompt}.png"
        image = Image.new("RGB", (8, 8), "red")
        image.save(path)
        say(f"done {prompt} seed {request.params.seed}")
        return Result((image,), (f"text of {prompt}",), (path,), 0, {})

    store = open_store(folder / "queue.db")
    queue = JobQueue(FunctionBackend(work), store=store)
    say("finished " + " ".join(f"{job.id}:{job.state}" for job in queue.finished()))
    say("waiting " + " ".join(job.id for job in queue.active()))
    for prompt in prompts:
        params = Txt2ImgParams(prompt=prompt)
        queue.submit(Request(params=params, task_id=prompt, save_samples="api" not in prompt,
                             save_grid="api" not in prompt))  # fmt: skip
    are_in.set()
    queue.resume()
    if scene == "close":
        while not (queue.current and queue.current.id == "b"):
            threading.Event().wait(0.01)
        say(f"closed {queue.close(5)}")
        return
    while queue.active():
        threading.Event().wait(0.01)
    queue.close(5)
    say("end")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
