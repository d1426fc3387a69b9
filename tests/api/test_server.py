"""What holds for the whole server: documentation, compression, limits, imports, stopping."""

from __future__ import annotations

import gzip
import logging
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.responses import StreamingResponse

from modules.api import build_server
from modules.api.server import API_ROUTES, OPEN_ROUTES, PAGE_ROUTES, STOP_ROUTES
from modules.params import Txt2ImgParams, parameters

ROOT = Path(__file__).resolve().parents[2]
ALL_ROUTES = (*API_ROUTES, *OPEN_ROUTES, *PAGE_ROUTES, *STOP_ROUTES)
BASE = "http://127.0.0.1:7860"


def test_importing_the_api_needs_neither_torch_nor_gradio() -> None:
    """The page must answer before torch is there."""
    heavy = ("torch", "gradio", "diffusers", "transformers", "numpy", "pandas")
    code = f"import sys, modules.api; print([n for n in {heavy} if n in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_every_route_is_documented_and_nothing_else() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `(GET|POST) (/\S+)` \|", text, re.MULTILINE))
    served = {(row.method, row.path.replace(":path", "")) for row in ALL_ROUTES}
    others = {("GET", "/docs"), ("GET", "/openapi.json")}
    assert named == served | others


def test_routes_are_served_as_the_tables_say(make_app: Any) -> None:
    client = TestClient(build_server(make_app("--api-server-stop")), base_url=BASE)
    paths = client.get("/openapi.json").json()["paths"]
    served = {(method.upper(), path) for path, entry in paths.items() for method in entry}
    assert served == {(row.method, row.path.replace(":path", "")) for row in ALL_ROUTES}


def test_openapi_describes_each_parameter(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    entry = document["paths"]["/sdapi/v1/txt2img"]["post"]
    name = entry["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/")[-1]
    properties = document["components"]["schemas"][name]["properties"]
    for parameter in parameters(Txt2ImgParams):
        assert properties[parameter.name]["title"] == parameter.face.label
        assert properties[parameter.name].get("description", "") == parameter.face.tooltip
    steps = properties["steps"]
    assert (steps["minimum"], steps["maximum"], steps["default"]) == (1, 10000, 50)
    for method in (one for path in document["paths"].values() for one in path.values()):
        assert method["description"], method["operationId"]


def test_docs_page_needs_no_other_server(client: TestClient) -> None:
    page = client.get("/docs").text
    links = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)
    assert len(links) >= 3 and all(link.startswith("/") for link in links)
    for link in links:
        assert client.get(link).status_code == 200, link
    assert "https://" not in page and "validatorUrl" in page


@pytest.mark.parametrize("prefix", ["", "/sd"])
def test_subpath_works_with_and_without_the_prefix(make_app: Any, prefix: str) -> None:
    client = TestClient(build_server(make_app("--subpath", "sd")), base_url=BASE)
    assert client.get(f"{prefix}/internal/ping").json() == {}
    assert 'src="/sd/docs/assets/' in client.get(f"{prefix}/docs").text


def test_nowebui_sends_the_browser_to_the_docs(make_app: Any) -> None:
    client = TestClient(build_server(make_app("--nowebui")), base_url=BASE)
    assert "swagger" in client.get("/").text
    without = TestClient(build_server(make_app()), base_url=BASE)
    assert without.get("/").status_code == 404


def test_large_replies_are_compressed(client: TestClient) -> None:
    with client.stream("GET", "/sdapi/v1/options", headers={"Accept-Encoding": "gzip"}) as reply:
        assert reply.headers["Content-Encoding"] == "gzip"
        raw = b"".join(reply.iter_raw())
    assert b'"samples_format"' in gzip.decompress(raw)
    plain = client.get("/sdapi/v1/options", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    small = client.get("/internal/ping", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in small.headers


def test_streams_of_the_page_pass_piece_by_piece(make_app: Any, served: Any) -> None:
    """Each event arrives before the next is made, also for clients that take gzip."""
    server = build_server(make_app())
    arrived = threading.Event()

    async def events(request: Request) -> StreamingResponse:
        def pieces() -> Any:
            yield b"data: " + b"a" * 2000 + b"\n\n"
            assert arrived.wait(10)
            yield b"data: b\n\n"

        return StreamingResponse(pieces(), media_type="text/event-stream")

    server.add_route("/gradio_api/queue/data", events, methods=["GET"])
    with (
        served(server) as url,
        httpx.stream(
            "GET", f"{url}/gradio_api/queue/data", headers={"Accept-Encoding": "gzip"}
        ) as reply,
    ):
        parts = reply.iter_bytes()
        assert next(parts).startswith(b"data: a")
        arrived.set()
        assert b"".join(parts).endswith(b"data: b\n\n")


def test_body_beyond_the_limit_is_413(client: TestClient) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": str(600 << 20)}
    reply = client.post("/sdapi/v1/png-info", content=b"{}", headers=headers)
    assert reply.status_code == 413


def test_api_log_names_calls_but_no_prompts(
    make_app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = TestClient(build_server(make_app("--api-log")), base_url=BASE)
    with caplog.at_level(logging.INFO, logger="modules.api"):
        client.post("/sdapi/v1/txt2img", json={"prompt": "a secret", "steps": 0})
    (line,) = [one.getMessage() for one in caplog.records if "txt2img" in one.getMessage()]
    assert line.startswith("POST /sdapi/v1/txt2img 422") and "secret" not in caplog.text


def test_stop_routes_are_there_only_when_asked_for(client: TestClient) -> None:
    for row in STOP_ROUTES:
        assert client.post(row.path).status_code == 404


def test_restart_is_501(make_app: Any) -> None:
    client = TestClient(build_server(make_app("--api-server-stop")), base_url=BASE)
    assert client.post("/sdapi/v1/server-restart").status_code == 501


@pytest.mark.skipif(sys.platform == "win32", reason="signals of its own")
@pytest.mark.parametrize("path", ["/sdapi/v1/server-stop", "/sdapi/v1/server-kill"])
def test_stopping_answers_and_then_asks_the_process_to_end(make_app: Any, path: str) -> None:
    asked = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        client = TestClient(build_server(make_app("--api-server-stop")), base_url=BASE)
        reply = client.post(path)
        assert (reply.status_code, reply.text) == (200, "Stopping.")
        assert asked.wait(5)
    finally:
        signal.signal(signal.SIGTERM, before)
