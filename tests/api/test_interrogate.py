"""A text for a picture through the API, with the shipped CLIP."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from webuiapi import WebUIApi

from modules.api import build_server
from modules.interrogate import Interrogator
from modules.model_manager.lending import lend_cpu

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "tests/data/interrogate"
BASE, INTERROGATE = "http://127.0.0.1:7860", "/sdapi/v1/interrogate"


@pytest.fixture
def shipped(app: Any, tmp_path: Path) -> Any:
    """An App whose interrogator has the shipped model and lists."""
    lists = (ROOT / "models/interrogate",)
    interrogator = Interrogator(
        [ROOT / "models/CLIP"], lists, tmp_path / "words", lend_cpu, settings=app.settings.view
    )
    return replace(app, interrogator=interrogator)


def encoded(name: str) -> str:
    return base64.b64encode((PICTURES / f"{name}.png").read_bytes()).decode()


def post(client: TestClient, **body: Any) -> Any:
    return client.post("/sdapi/v1/interrogate", json=body)


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_picture_becomes_a_caption(shipped: Any, prefix: str) -> None:
    with TestClient(build_server(shipped), base_url=BASE) as client:
        reply = post(client, image=prefix + encoded("rocket"))
    assert reply.status_code == 200
    assert reply.json().keys() == {"caption"}
    assert reply.json()["caption"].split(", ")[0] == "rocket"


def test_settings_of_the_server_hold(shipped: Any) -> None:
    shipped.settings.update({"interrogate_return_ranks": True})
    with TestClient(build_server(shipped), base_url=BASE) as client:
        assert post(client, image=encoded("cat"), model="clip").json()["caption"][:6] == "(cat:0"


def test_a1111s_client_reads_the_reply(shipped: Any, served: Any) -> None:
    with served(build_server(shipped)) as address:
        api = WebUIApi(baseurl=f"{address}/sdapi/v1")
        with Image.open(PICTURES / "pizza.png") as image:
            assert api.interrogate(image).info.split(", ")[0] == "pizza"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"model": "blip2"}, 404, "interrogation model 'blip2'; did you mean 'clip'"),
        ({"model": "deepdanbooru"}, 422, "without a DeepBooru tagger"),
        ({}, 422, "image: 'nothing' cannot be used"),
        ({"image": None, "model": None}, 422, "image: 'nothing' cannot be used"),
        ({"image": "%%%"}, 422, "it must be a picture in base64"),
        ({"image": base64.b64encode(b"no picture").decode()}, 422, "a PNG, JPEG"),
        ({"image": "http://127.0.0.1/cat.png"}, 422, "api_enable_requests"),
    ],
)
def test_what_cannot_be_done_is_told(
    client: TestClient, body: dict[str, Any], status: int, words: str
) -> None:
    reply = post(client, **body)
    assert reply.status_code == status
    assert words in reply.json()["detail"]


def test_picture_with_too_many_pixels_is_refused(client: TestClient) -> None:
    file = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(file, "PNG")
    reply = post(client, image=base64.b64encode(file.getvalue()).decode())
    assert reply.status_code == 422
    assert "million pixels" in reply.json()["detail"]


def test_without_a_clip_the_reply_says_where_to_put_one(app: Any) -> None:
    lists = (ROOT / "models/interrogate",)
    empty = Interrogator([app.paths.models / "CLIP"], lists, app.paths.cache, lend_cpu)
    with TestClient(build_server(replace(app, interrogator=empty)), base_url=BASE) as client:
        reply = post(client, image=encoded("cat"))
    assert reply.status_code == 422
    assert "there is no CLIP model" in reply.json()["detail"]


class SlowEye:
    """Looks at a picture until `open` is set; knows how many were looked at together."""

    def __init__(self) -> None:
        self.open, self.began = threading.Event(), threading.Event()
        self.most = self._now = 0

    def caption(self, image: Image.Image) -> str:
        self._now += 1
        self.most = max(self.most, self._now)
        self.began.set()
        assert self.open.wait(30)
        self._now -= 1
        return "a cat"


def test_many_pictures_leave_threads_for_ping_interrupt_and_skip(make_app: Any) -> None:
    eye = SlowEye()
    server = build_server(replace(make_app("--api-auth", "joe:j"), interrogator=eye))

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(server)
        async with httpx.AsyncClient(transport=transport, base_url=BASE, auth=("joe", "j")) as web:
            body = {"image": encoded("cat")}
            looks = [asyncio.create_task(web.post(INTERROGATE, json=body)) for _ in range(48)]
            try:
                assert await asyncio.to_thread(eye.began.wait, 30)
                await asyncio.sleep(0.5)  # for all of them to arrive
                async with asyncio.timeout(10):
                    others = [await web.get("/internal/ping")]
                    others += [await web.post(f"/sdapi/v1/{one}") for one in ("interrupt", "skip")]
            finally:
                eye.open.set()
            return [one.status_code for one in (*others, *await asyncio.gather(*looks))]

    assert asyncio.run(ask()) == [200] * 51
    assert eye.most == 1
