"""Who may call what: passwords, the page's login, foreign pages."""

from __future__ import annotations

import asyncio
import base64
import gc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import anyio.to_thread
import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from modules.api import build_server

SDAPI, EASEL, INTERNAL = "/sdapi/v1/samplers", "/easel/v1/status", "/internal/pending-tasks"
PING = "/internal/ping"
API, PAGE = ("ann", "käse:1"), ("bob", "b")
API_FLAGS = ("--api-auth", "joe:j,ann:käse:1")
PAGE_FLAGS = ("--gradio-auth", "bob:b")


def client_of(make_app: Callable[..., Any], *flags: str, base: str = "127.0.0.1") -> TestClient:
    return TestClient(build_server(make_app(*flags)), base_url=f"http://{base}:7860")


def basic(user: tuple[str, str] | None) -> dict[str, Any]:
    if user is None:
        return {}
    token = base64.b64encode(":".join(user).encode()).decode()
    return {"headers": {"Authorization": f"Basic {token}"}}


@pytest.mark.parametrize(
    ("flags", "user", "expected"),
    [
        ((), None, {SDAPI: 200, EASEL: 200, INTERNAL: 200, PING: 200}),
        (API_FLAGS, None, {SDAPI: 401, EASEL: 200, PING: 200}),
        (API_FLAGS, ("ann", "wrong"), {SDAPI: 401}),
        (API_FLAGS, ("joe", "käse:1"), {SDAPI: 401}),
        (API_FLAGS, API, {SDAPI: 200}),
        ((*API_FLAGS, "--nowebui"), None, {SDAPI: 401, EASEL: 401, INTERNAL: 401, PING: 200}),
        ((*API_FLAGS, "--nowebui"), API, {SDAPI: 200, EASEL: 200, INTERNAL: 200}),
        # an API that nobody asked for is as private as the page
        (PAGE_FLAGS, None, {SDAPI: 401, EASEL: 401, INTERNAL: 401, PING: 200}),
        (PAGE_FLAGS, PAGE, {SDAPI: 200, EASEL: 200, INTERNAL: 200}),
        # one that was asked for is open, as A1111's is
        ((*PAGE_FLAGS, "--api"), None, {SDAPI: 200, EASEL: 401}),
        ((*PAGE_FLAGS, *API_FLAGS), PAGE, {SDAPI: 401, EASEL: 200}),
        ((*PAGE_FLAGS, *API_FLAGS), API, {SDAPI: 200, EASEL: 200}),
        # and to other machines it is served only when asked for
        (("--listen",), None, {SDAPI: 404, EASEL: 200}),
        (("--listen", "--api"), None, {SDAPI: 200}),
        (("--listen", "--nowebui"), None, {SDAPI: 200}),
    ],
)
def test_routes_ask_for_the_password_that_protects_them(
    make_app: Callable[..., Any],
    flags: tuple[str, ...],
    user: tuple[str, str] | None,
    expected: dict[str, int],
) -> None:
    client = client_of(make_app, *flags)
    found = {path: client.get(path, **basic(user)).status_code for path in expected}
    assert found == expected


def test_refusal_asks_for_basic_in_the_envelope(make_app: Callable[..., Any]) -> None:
    reply = client_of(make_app, *API_FLAGS).get(SDAPI)
    assert reply.headers["WWW-Authenticate"] == "Basic"
    assert reply.json()["detail"] == "Incorrect username or password"
    assert reply.json()["error"] == "HTTPException"


def test_refusal_of_the_pages_routes_opens_no_password_window(
    make_app: Callable[..., Any],
) -> None:
    reply = client_of(make_app, *PAGE_FLAGS).get(EASEL)
    assert reply.status_code == 401 and "WWW-Authenticate" not in reply.headers


def test_malformed_credentials_are_401(make_app: Callable[..., Any]) -> None:
    client = client_of(make_app, *API_FLAGS)
    for text in ("Basic", "Basic !!!", "Basic YWJj", "Bearer x", "Basic /////w=="):
        assert client.get(SDAPI, headers={"Authorization": text}).status_code == 401


def test_user_is_noted_on_the_job(make_app: Callable[..., Any]) -> None:
    app = make_app(*API_FLAGS)
    client = TestClient(build_server(app), base_url="http://127.0.0.1")
    client.post("/sdapi/v1/txt2img", json={"steps": 1, "width": 8, "height": 8}, **basic(API))
    assert app.jobs.finished()[0].request.user == "ann"


@pytest.fixture
def gradio_page() -> Iterator[Callable[[FastAPI], None]]:
    """Mounts a real page with a real login; gradio leaves event loops open behind it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        import gradio

        def mount(server: FastAPI) -> None:
            with gradio.Blocks() as blocks:
                gradio.Markdown("page")
            gradio.mount_gradio_app(server, blocks, "/", auth=[PAGE])

        yield mount
        gc.collect()


def test_login_cookie_of_the_page_opens_its_routes(
    make_app: Callable[..., Any], gradio_page: Callable[[FastAPI], None]
) -> None:
    server = build_server(make_app(*PAGE_FLAGS))
    gradio_page(server)
    with TestClient(server, base_url="http://127.0.0.1:7860") as client:
        assert client.get(EASEL).status_code == 401
        assert client.post("/login", data={"username": "bob", "password": "x"}).status_code == 400
        assert client.get(EASEL).status_code == 401
        assert client.post("/login", data={"username": "bob", "password": "b"}).status_code == 200
        assert client.get(EASEL).status_code == 200
        assert client.get(SDAPI).status_code == 200


LOCAL, RAISED = "http://127.0.0.1:7860", "http://localhost:7860"


@pytest.mark.parametrize(
    ("flags", "host", "headers", "status"),
    [
        # programs that are no browsers
        ((), "127.0.0.1:7860", {}, 200),
        ((), "localhost:7860", {}, 200),
        ((), "[::1]:7860", {}, 200),
        ((), "192.168.1.9:7860", {}, 200),
        # the page itself, also behind a proxy that renames the host
        ((), "127.0.0.1:7860", {"Origin": LOCAL}, 200),
        ((), "localhost:7860", {"Origin": RAISED}, 200),
        ((), "127.0.0.1", {"Origin": "https://sd.me", "X-Forwarded-Host": "sd.me"}, 200),
        # foreign pages
        ((), "127.0.0.1:7860", {"Origin": "https://evil.example"}, 403),
        ((), "127.0.0.1:7860", {"Origin": "http://127.0.0.1:3000"}, 403),
        ((), "127.0.0.1:7860", {"Origin": "http://127.0.0.1:7860.evil.example"}, 403),
        ((), "127.0.0.1:7860", {"Origin": "null"}, 403),
        ((), "127.0.0.1:7860", {"Origin": ""}, 403),
        ((), "127.0.0.1:7860", {"Sec-Fetch-Site": "cross-site"}, 403),
        # a foreign name that resolves to this machine
        ((), "evil.example:7860", {}, 403),
        ((), "evil.example", {"Origin": "http://evil.example"}, 403),
        ((), "evil.example", {"X-Forwarded-Host": "127.0.0.1"}, 403),
        ((), "localhost.evil.example", {}, 403),
        ((), "[bad", {}, 403),
        # what the user opened
        (("--cors-allow-origins", "https://ok.me,http://b"), "ok.me", {}, 200),
        (("--cors-allow-origins", "https://ok.me"), "127.0.0.1", {"Origin": "https://ok.me"}, 200),
        (("--cors-allow-origins", "https://ok.me"), "127.0.0.1", {"Origin": "https://no.me"}, 403),
        (("--cors-allow-origins", "*"), "any.me", {"Origin": "https://evil.example"}, 200),
        (
            ("--cors-allow-origins-regex", r"https://.*\.me"),
            "a.me",
            {"Origin": "https://b.me"},
            200,
        ),
        (
            ("--cors-allow-origins-regex", r"https://.*\.me"),
            "127.0.0.1",
            {"Origin": "http://b"},
            403,
        ),
        # other machines may call the server by any name, foreign pages still may not
        (("--listen", "--api"), "studio.lan:7860", {"Origin": "http://studio.lan:7860"}, 200),
        (("--listen", "--api"), "studio.lan:7860", {"Origin": "https://evil.example"}, 403),
        (("--server-name", "localhost.me"), "localhost.me:7860", {}, 200),
    ],
)
def test_foreign_pages_cannot_change_anything(
    make_app: Callable[..., Any],
    flags: tuple[str, ...],
    host: str,
    headers: dict[str, str],
    status: int,
) -> None:
    client = client_of(make_app, *flags)
    reply = client.post("/sdapi/v1/skip", headers={"Host": host, **headers})
    assert reply.status_code == status, reply.text
    if status == 403:
        assert "--cors-allow-origins" in reply.json()["detail"]


def test_foreign_pages_may_ask_but_not_read(make_app: Callable[..., Any]) -> None:
    client = client_of(make_app)
    reply = client.get(SDAPI, headers={"Origin": "https://evil.example"})
    assert reply.status_code == 200
    assert "Access-Control-Allow-Origin" not in reply.headers
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    preflight = client.options("/sdapi/v1/txt2img", headers=asked)
    assert "Access-Control-Allow-Origin" not in preflight.headers


def test_cors_answers_the_origins_that_were_opened(make_app: Callable[..., Any]) -> None:
    client = client_of(make_app, "--cors-allow-origins", "https://ok.me")
    asked = {
        "Origin": "https://ok.me",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    preflight = client.options("/sdapi/v1/txt2img", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://ok.me"
    reply = client.post("/sdapi/v1/skip", headers={"Origin": "https://ok.me"})
    assert reply.headers["Access-Control-Allow-Origin"] == "https://ok.me"


def test_guard_covers_the_mounted_page(make_app: Callable[..., Any]) -> None:
    page = FastAPI()

    async def run() -> str:
        return "ran"

    page.add_api_route("/run", run, methods=["POST"])
    server = build_server(make_app())
    server.mount("/", page)
    client = TestClient(server, base_url="http://127.0.0.1:7860")
    assert client.post("/run").json() == "ran"
    assert client.post("/run", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post("/run", headers={"Host": "evil.example"}).status_code == 403


def test_ping_interrupt_and_skip_need_no_thread(make_app: Callable[..., Any]) -> None:
    server = build_server(make_app(*API_FLAGS))

    async def ask() -> list[int]:
        threads, owners = anyio.to_thread.current_default_thread_limiter(), []
        for _ in range(int(threads.total_tokens)):
            owners.append(object())
            threads.acquire_on_behalf_of_nowait(owners[-1])
        transport, base = httpx.ASGITransport(server), "http://127.0.0.1:7860"
        async with httpx.AsyncClient(transport=transport, base_url=base, auth=("joe", "j")) as web:
            async with asyncio.timeout(10):
                replies = [await web.get(PING)]
                replies += [await web.post(f"/sdapi/v1/{one}") for one in ("interrupt", "skip")]
        return [one.status_code for one in replies]

    assert asyncio.run(ask()) == [200, 200, 200]
