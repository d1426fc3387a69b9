"""An Easel without doors: `tiny_program.py DATA MODELS STEPS [REQUEST …]`.

Queues the requests (JSON), makes all jobs and ends; dies like under kill -9 after so many steps,
or never for 0.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from modules.core.hooks import Hooks
from modules.core.paths import paths_of
from modules.jobs import FunctionBackend, JobQueue, open_store
from modules.jobs.local import LocalBackend
from modules.jobs.progress import JobReport
from modules.model_manager import Catalogue, Hashes, Library, ModelManager, VaeCatalogue
from modules.model_manager.device import DeviceFlags, Hardware, choose_device
from modules.params import Request
from modules.processing.report import Report
from modules.processing.result import Result
from modules.setup import torchvision_compat
from modules.setup.flags import parse_flags


class DeadlyReport(JobReport):
    """Kills the process after some steps, of all jobs together."""

    steps_left = 0

    def step(self, step: int, preview: Callable[[], object] | None = None) -> None:
        DeadlyReport.steps_left -= 1
        if DeadlyReport.steps_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main(data: str, models: str, steps: int, requests: list[str]) -> None:
    torchvision_compat.install()  # before anything imports torchvision beside a CPU build
    import torch

    torch.set_num_threads(1)
    DeadlyReport.steps_left = steps
    paths = paths_of(parse_flags(["--data-dir", data, "--models-dir", models], {}, Path(data)),
                     Path(data))  # fmt: skip
    manager = ModelManager(
        Catalogue(paths.checkpoints, Hashes(paths.cache / "hashes.json")),
        VaeCatalogue(paths.vaes, paths.checkpoints, None),
        lambda: choose_device(Hardware(None), DeviceFlags()),
        library=Library.of(paths),
    )
    backend = LocalBackend(models=manager, hooks=Hooks(), paths=paths)

    def run(request: Request, _report: Report) -> Result:
        return backend.run(request, DeadlyReport(0))

    queue = JobQueue(FunctionBackend(run), store=open_store(paths.queue_file))
    waiting = [*queue.active(), *(queue.submit(Request.model_validate_json(r)) for r in requests)]
    queue.resume()
    for job in waiting:
        job.future.result()
    queue.close(5)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
