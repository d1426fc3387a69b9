"""The real program: a server process that answers, computes, and stops when told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modules.command.serve import begin_when_up

ROOT = Path(__file__).parents[2]
START_S = 120
"""Generous: machines that run tests may be slow. Nothing here waits as long as that."""


class Refused(Exception):
    """The server answered with an error status."""

    def __init__(self, code: int, body: bytes) -> None:
        self.code, self.body = code, body
        super().__init__(f"{code}: {body.decode()}")


class Server:
    """One `webui.py` in a process of its own."""

    def __init__(self, data: Path, models: Path, *flags: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = data / "server.log"
        command = [sys.executable, "webui.py", "--skip-install", "--port", str(self.port),
                   "--data-dir", str(data), "--models-dir", str(models), *flags]  # fmt: skip
        with self.log.open("w") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)

    def ask(self, path: str, body: Any = None, timeout: float = 60) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(error.code, error.read()) from None

    def wait_for(self, state: str) -> None:
        """Until the model is in this state."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if self.ask("/easel/v1/status")["model"]["state"] == state:
                    return
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"never {state}:\n{self.log.read_text()}")

    def stop(self, signal_number: int = signal.SIGTERM) -> float:
        """Ask it to stop; the seconds that it took."""
        started = time.monotonic()
        self.process.send_signal(signal_number)
        self.process.wait(timeout=30)
        return time.monotonic() - started


@pytest.fixture
def started(tmp_path: Path, tiny_models: Path) -> Iterator[Any]:
    servers: list[Server] = []

    def start(*flags: str, models: Path = tiny_models) -> Server:
        servers.append(Server(tmp_path, models, *flags))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.wait()


LONG = {"prompt": "x", "steps": 10000, "width": 64, "height": 64, "sampler_name": "Euler"}


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl+C"])
def test_server_stops_within_5_seconds_in_the_middle_of_a_job(started: Any, number: int) -> None:
    server = started("--nowebui")
    server.wait_for("ready")
    answers: list[Any] = []

    def generate() -> None:
        try:
            answers.append(server.ask("/sdapi/v1/txt2img", LONG))
        except (urllib.error.URLError, ConnectionError, Refused) as error:
            answers.append(str(error))

    client = threading.Thread(target=generate)
    client.start()
    until = time.monotonic() + START_S
    while not server.ask("/sdapi/v1/progress?skip_current_image=true")["progress"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert server.stop(number) < 5
    client.join(10)
    assert not client.is_alive(), "the waiting client was answered or cut off, not left hanging"


def test_server_without_a_model_lives_and_says_how_to_get_one(started: Any, tmp_path: Path) -> None:
    server = started("--nowebui", models=tmp_path / "empty")
    server.wait_for("none")
    with pytest.raises(Refused) as caught:
        server.ask("/sdapi/v1/txt2img", {"prompt": "x", "steps": 1})
    assert caught.value.code == 404
    reply = json.loads(caught.value.body)
    assert "Stable-diffusion" in reply["detail"]
    assert server.ask("/internal/ping") == {}


def test_truncated_checkpoint_is_told_and_the_next_job_works(
    started: Any, tmp_path: Path, tiny_models: Path
) -> None:
    models = tmp_path / "models/Stable-diffusion"
    models.mkdir(parents=True)
    source = tiny_models / "Stable-diffusion"
    for entry in ("tiny15.safetensors", "tiny15.yaml", "tiny_clip"):
        (models / entry).symlink_to(source / entry)
    cut = (source / "tiny15.safetensors").read_bytes()[:1_000_000]
    (models / "cut.safetensors").write_bytes(cut)
    server = started("--nowebui", "--ckpt", str(models / "tiny15.safetensors"),
                     models=tmp_path / "models")  # fmt: skip
    server.wait_for("ready")
    body = {"prompt": "x", "steps": 1, "width": 64, "height": 64, "seed": 1}
    with pytest.raises(Refused) as caught:
        server.ask(
            "/sdapi/v1/txt2img", body | {"override_settings": {"sd_model_checkpoint": "cut"}}
        )
    assert 400 <= caught.value.code < 500
    assert "cut.safetensors" in json.loads(caught.value.body)["detail"]
    assert len(server.ask("/sdapi/v1/txt2img", body)["images"]) == 1


def test_scripts_are_loaded_once_the_server_answers() -> None:
    said: list[str] = []
    done = threading.Event()
    app: Any = SimpleNamespace(
        hooks=SimpleNamespace(call=lambda name, _: said.append(name)),
        jobs=SimpleNamespace(resume=lambda: said.append("resume")),
        scripts=SimpleNamespace(warm=lambda: (said.append("warm"), done.set())),
        flags=SimpleNamespace(skip_load_model_at_start=True),
    )
    server: Any = SimpleNamespace(
        started=False, should_exit=False, config=SimpleNamespace(app=None)
    )
    begin_when_up(app, server)
    assert not done.wait(0.1)
    server.started = True
    assert done.wait(10)
    assert said == ["app_started", "resume", "warm"]
