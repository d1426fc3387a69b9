from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from modules.api import build_server
from modules.api.errors import error_reply
from modules.core.app import App
from modules.core.errors import (
    BadInput,
    Busy,
    EaselError,
    ModelError,
    NotFound,
    OutOfSpace,
    UnsupportedImage,
)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("sampler", "x", ["y"]), 404),
        (BadInput("steps", 0, "at least 1"), 422),
        (UnsupportedImage("image", "x", "a picture"), 422),
        (ModelError(Path("a.safetensors"), "truncated"), 422),
        (Busy("full"), 503),
        (OutOfSpace("full"), 507),
        (EaselError("other"), 500),
        (ValueError("boom"), 500),
    ],
)
def test_errors_have_a_status_and_the_envelope(error: Exception, status: int) -> None:
    reply = error_reply(error)
    assert reply.status_code == status
    content = json.loads(reply.body)
    assert list(content) == ["error", "detail", "body", "errors"]
    assert content["error"] == type(error).__name__ and str(error) in content["detail"]


def test_unknown_path_and_method_are_fastapis_own(client: TestClient) -> None:
    assert client.get("/sdapi/v1/nothing").json() == {"detail": "Not Found"}
    reply = client.get("/sdapi/v1/txt2img")
    assert reply.status_code == 405 and reply.json() == {"detail": "Method Not Allowed"}


def test_exception_inside_a_route_is_500_with_time(app: App) -> None:
    server = build_server(app)
    object.__setattr__(app, "jobs", None)
    with TestClient(server, base_url="http://127.0.0.1") as client:
        reply = client.get("/sdapi/v1/progress")
    assert reply.status_code == 500 and reply.json()["error"] == "AttributeError"
    assert float(reply.headers["X-Process-Time"]) >= 0
    assert "Traceback" not in reply.text


def test_every_reply_has_its_time(client: TestClient) -> None:
    for path in ("/sdapi/v1/samplers", "/nothing", "/openapi.json"):
        assert float(client.get(path).headers["X-Process-Time"]) >= 0
