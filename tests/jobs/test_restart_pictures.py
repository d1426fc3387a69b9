"""A job of a real model that is killed half-way gives, after the restart, the same bytes."""

from __future__ import annotations

import base64
import dataclasses
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.jobs import FunctionBackend, JobQueue, open_store
from modules.params import Img2ImgParams, Request, Txt2ImgParams
from modules.processing.report import SilentReport

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("tiny_program.py")
STEPS = 3


def requests() -> list[Request]:
    data = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(data, "PNG")
    picture = base64.b64encode(data.getvalue()).decode()
    shared: dict[str, Any] = {"steps": STEPS, "width": 64, "height": 64, "sampler_name": "Euler a"}
    text = Txt2ImgParams(
        prompt="a cat", seed=-1, subseed=-1, subseed_strength=0.5, n_iter=2, **shared
    )
    other = Img2ImgParams(
        prompt="a dog", seed=-1, init_images=(picture,), denoising_strength=1, **shared
    )
    return [Request(params=text, task_id="text"), Request(params=other, task_id="picture")]


def kill_after(steps: int, data: Path, models: Path) -> None:
    """Queue the requests in a program that dies so many steps later."""
    command = [sys.executable, str(PROGRAM), str(data), str(models), str(steps)]
    command += [request.model_dump_json() for request in requests()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    assert subprocess.run(command, env=environment).returncode == -9


@pytest.mark.timeout(900)
def test_pictures_after_a_kill_are_those_of_an_undisturbed_run(
    tmp_path: Path, tiny_models: Path, services: Any
) -> None:
    from modules.processing.run import run_request

    kill_after(STEPS + 2, tmp_path, tiny_models)  # in the second picture
    (half,) = tmp_path.rglob("*.png")

    paths = dataclasses.replace(services.paths, data=tmp_path)
    after = dataclasses.replace(services, paths=paths)
    backend = FunctionBackend(lambda request, report: run_request(request, after, report))
    queue = JobQueue(backend, store=open_store(paths.queue_file))
    jobs = queue.active()
    assert [(job.id, job.attempt) for job in jobs] == [("text", 2), ("picture", 1)]
    queue.resume()
    made = {job.id: job.future.result() for job in jobs}
    assert queue.close(10)
    assert half.exists(), "what was saved before stays"

    for job, request in zip(jobs, requests(), strict=True):
        seeds = {"seed": job.request.params.seed, "subseed": job.request.params.subseed}
        assert min(seeds.values()) >= 0
        params = request.params.model_copy(update=seeds)
        direct = run_request(
            request.model_copy(update={"params": params}), services, SilentReport()
        )
        assert made[job.id].infotexts == direct.infotexts
        assert files(made[job.id]) == files(direct)
    first = made["text"].index_of_first_image
    assert half.read_bytes() == files(made["text"])[first]


def files(result: Any) -> list[bytes]:
    return [path.read_bytes() for path in result.paths]
