"""Progress under A1111's names and under ours."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from modules.api import build_server
from modules.api.preview import PreviewEncoder
from modules.core.app import App
from modules.params.generation import Txt2ImgParams
from modules.params.request import Request
from modules.processing.report import Report, Stop
from modules.processing.result import Result

EMPTY = Result((), (), (), 0, {})


class Hand:
    """A backend that goes where the test leads it, step by step."""

    def __init__(self) -> None:
        self.is_there = threading.Event()
        self.may_go = threading.Event()

    def run(self, request: Request, report: Report) -> Result:
        report.begin(2)
        report.begin_pass("Batch 1 of 2", 4)
        for step in range(1, 4):
            report.step(step, lambda: Image.new("RGB", (8, 8), "red"))
        self.is_there.set()
        self.may_go.wait(10)
        return EMPTY


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def app(make_app: Any, hand: Hand) -> App:
    return make_app(run=hand.run)


@pytest.fixture
def running(app: App, hand: Hand) -> Iterator[Any]:
    """A job at step 3 of 4 of the first of two passes."""
    app.settings.update({"show_progress_every_n_steps": 3})
    settings = app.settings.view().changed()
    params = Txt2ImgParams(prompt="x" * 100)
    job = app.jobs.submit(Request(params=params, settings=settings, user="ann", task_id="t(1)/a"))
    assert hand.is_there.wait(10)
    yield job
    hand.may_go.set()
    job.future.result(10)


def queue_one(app: App, task_id: str) -> Any:
    return app.jobs.submit(Request(params=Txt2ImgParams(prompt="later"), task_id=task_id))


def image_of(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text.removeprefix("data:image/png;base64,"))))


def test_progress_when_idle(client: TestClient) -> None:
    assert client.get("/sdapi/v1/progress").json() == {
        "progress": 0.0,
        "eta_relative": 0.0,
        "state": {
            "skipped": False,
            "interrupted": False,
            "stopping_generation": False,
            "job": "",
            "job_count": 0,
            "job_timestamp": "0",
            "job_no": 0,
            "sampling_step": 0,
            "sampling_steps": 0,
        },
        "current_image": None,
        "textinfo": None,
    }


def test_progress_of_a_running_job(client: TestClient, running: Any) -> None:
    reply = client.get("/sdapi/v1/progress").json()
    assert reply["progress"] == 3 / 8 and reply["eta_relative"] > 0
    state = reply["state"]
    assert (state["job_count"], state["job_no"]) == (2, 0)
    assert (state["sampling_step"], state["sampling_steps"]) == (3, 4)
    assert len(state["job_timestamp"]) == 14 and reply["textinfo"] == "Batch 1 of 2"
    assert image_of(reply["current_image"]).size == (8, 8)


def test_progress_without_image(client: TestClient, running: Any) -> None:
    reply = client.get("/sdapi/v1/progress", params={"skip_current_image": "true"}).json()
    assert reply["current_image"] is None


@pytest.mark.parametrize(("path", "stop"), [("interrupt", Stop.NOW), ("skip", Stop.SKIP)])
def test_wishes_reach_the_job_and_show(
    client: TestClient, running: Any, path: str, stop: Stop
) -> None:
    reply = client.post(f"/sdapi/v1/{path}")
    assert reply.status_code == 200 and reply.json() == ({} if path == "interrupt" else None)
    assert running.report.stop is stop
    state = client.get("/sdapi/v1/progress").json()["state"]
    assert (state["interrupted"], state["skipped"]) == (stop is Stop.NOW, stop is Stop.SKIP)


def test_interrupt_and_skip_without_a_job_do_nothing(client: TestClient) -> None:
    assert client.post("/sdapi/v1/interrupt").json() == {}
    assert client.post("/sdapi/v1/skip").json() is None


def test_status_shows_model_job_queue_and_finished(
    client: TestClient, app: App, running: Any, hand: Hand
) -> None:
    queue_one(app, "second")
    reply = client.get("/easel/v1/status").json()
    assert set(reply) == {"version", "model", "current", "queue", "finished"}
    assert reply["model"] == {"state": "none", "text": app.models.state.words, "fraction": 0.0}
    current = reply["current"]
    assert current["id"] == "t(1)/a" and current["prompt"] == "x" * 80
    assert (current["user"], current["kind"], current["number"]) == ("ann", "txt2img", 1)
    assert (current["step"], current["steps"]) == (3, 4)
    assert (current["pass"], current["passes"]) == (1, 2)
    assert (current["progress"], current["preview_id"]) == (3 / 8, 1)
    assert current["eta_s"] > 0 and image_of(current["preview"]).size == (8, 8)
    (waiting,) = reply["queue"]
    assert waiting == {
        "id": "second",
        "number": 2,
        "kind": "txt2img",
        "prompt": "later",
        "user": "",
        "state": "queued",
        "attempt": 1,
    }
    assert reply["finished"] == []


def test_status_sends_each_preview_once(client: TestClient, running: Any) -> None:
    current = client.get("/easel/v1/status", params={"preview_id": 1}).json()["current"]
    assert current["preview"] is None and current["preview_id"] == 1


def test_finished_jobs_are_listed_newest_first(client: TestClient, app: App, hand: Hand) -> None:
    hand.may_go.set()
    for number in range(12):
        queue_one(app, f"job {number}").future.result(10)
    finished = client.get("/easel/v1/status").json()["finished"]
    assert [job["id"] for job in finished] == [f"job {n}" for n in range(11, 1, -1)]
    assert finished[0]["state"] == "done" and finished[0]["error"] is None
    assert finished[0]["seconds"] >= 0


def test_all_jobs_are_listed_with_what_they_were(
    client: TestClient, app: App, hand: Hand, running: Any
) -> None:
    queue_one(app, "second")
    reply = client.get("/easel/v1/jobs").json()
    assert [(job["id"], job["state"]) for job in reply["queue"]] == [
        ("t(1)/a", "running"),
        ("second", "queued"),
    ]
    assert reply["finished"] == []
    hand.may_go.set()
    app.jobs.active()[-1].future.result(10)
    reply = client.get("/easel/v1/jobs").json()
    assert reply["queue"] == []
    newest = reply["finished"][0]
    shown = ("number", "kind", "prompt", "state", "attempt", "error")
    assert [newest[name] for name in shown] == [2, "txt2img", "later", "done", 1, None]
    assert newest["created"] <= newest["started"] <= newest["finished"]


def test_waiting_job_moves_to_the_front(client: TestClient, app: App, running: Any) -> None:
    for name in ("b", "c", "d/e"):
        queue_one(app, name)
    assert client.post("/easel/v1/jobs/d%2Fe/move", json={"to": "front"}).json() == {}
    assert [job.id for job in app.jobs.active()] == ["t(1)/a", "d/e", "b", "c"]
    assert client.post("/easel/v1/jobs/t(1)%2Fa/move", json={"to": "up"}).status_code == 404
    assert client.post("/easel/v1/jobs/b/move", json={"to": "sideways"}).status_code == 422


def test_cancel_takes_a_waiting_job_out(client: TestClient, app: App, running: Any) -> None:
    queue_one(app, "a/b (c)")
    assert client.post("/easel/v1/jobs/a%2Fb%20(c)/cancel").json() == {}
    assert client.get("/easel/v1/jobs/a/b (c)").json()["state"] == "cancelled"
    assert client.post("/easel/v1/jobs/a/b (c)/cancel").status_code == 404


def test_cancel_stops_a_running_job(client: TestClient, running: Any) -> None:
    assert client.post("/easel/v1/jobs/t(1)/a/cancel").json() == {}
    assert running.report.stop is Stop.NOW


def test_unknown_job_is_404_in_the_envelope(client: TestClient) -> None:
    for reply in (client.get("/easel/v1/jobs/x"), client.post("/easel/v1/jobs/x/cancel")):
        assert reply.status_code == 404 and reply.json()["error"] == "NotFound"


def test_job_tells_its_result(make_app: Any) -> None:
    result = Result((), ("a cat\nSteps: 1",), (), 0, {}, warnings=("no such LoRA",))
    app = make_app(run=lambda request, report: result)
    client = TestClient(build_server(app), base_url="http://127.0.0.1")
    queue_one(app, "one").future.result(10)
    reply = client.get("/easel/v1/jobs/one").json()
    seconds = reply.pop("seconds")
    assert seconds >= 0 and reply == {
        "id": "one",
        "state": "done",
        "error": None,
        "infotexts": ["a cat\nSteps: 1"],
        "warnings": ["no such LoRA"],
    }


def test_failed_job_tells_why(make_app: Any) -> None:
    def fail(request: Request, report: Report) -> Result:
        raise ValueError("no paint")

    app = make_app(run=fail)
    client = TestClient(build_server(app), base_url="http://127.0.0.1")
    with pytest.raises(ValueError, match="no paint"):
        queue_one(app, "one").future.result(10)
    reply = client.get("/easel/v1/jobs/one").json()
    assert (reply["state"], reply["error"]) == ("failed", "ValueError: no paint")


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [("", (0, 75)), ("a cat", (2, 75)), ("a " * 76, (76, 150)), ("[a cat:dog:0.5]", (2, 75))],
)
def test_token_count(client: TestClient, prompt: str, expected: tuple[int, int]) -> None:
    reply = client.post("/easel/v1/token-count", json={"prompt": prompt, "steps": 20}).json()
    assert (reply["count"], reply["limit"]) == expected


def test_token_count_counts_the_vectors_of_embeddings(client: TestClient, tmp_path: Path) -> None:
    folder = tmp_path / "models/embeddings"
    folder.mkdir(parents=True, exist_ok=True)
    header = b'{"emb_params":{"dtype":"F32","shape":[9,2],"data_offsets":[0,72]}}'
    (folder / "zqx.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(72))
    client.post("/sdapi/v1/refresh-embeddings")
    reply = client.post("/easel/v1/token-count", json={"prompt": "a (zqx:1.2), b"}).json()
    assert reply["count"] == 12


def test_internal_progress_follows_one_task(
    client: TestClient, app: App, running: Any, hand: Hand
) -> None:
    def ask(task: str | None, **more: Any) -> Any:
        return client.post("/internal/progress", json={"id_task": task, **more}).json()

    waiting = queue_one(app, "second")
    assert client.get("/internal/pending-tasks").json() == {"size": 1, "tasks": ["second"]}
    reply = ask("t(1)/a")
    assert (reply["active"], reply["queued"], reply["completed"]) == (True, False, False)
    assert reply["progress"] == 3 / 8 and reply["id_live_preview"] == 1
    assert reply["live_preview"].startswith("data:image/png;base64,")
    assert ask("t(1)/a", id_live_preview=1)["live_preview"] is None
    assert ask("t(1)/a", live_preview=False)["live_preview"] is None
    queued = ask("second")
    assert (queued["queued"], queued["textinfo"]) == (True, "In queue: 2/2")
    assert ask("who")["completed"] is False and ask(None)["active"] is False
    hand.may_go.set()
    waiting.future.result(10)
    assert ask("second")["completed"] is True


def test_ping(client: TestClient) -> None:
    assert client.get("/internal/ping").json() == {}


def test_a_preview_is_encoded_once_for_all_who_ask(running: Any) -> None:
    previews = PreviewEncoder()
    first = previews.encode(running, "png")
    assert first is not None and previews.encode(running, "png") is first
    assert previews.encode(running, "jpeg") != first
