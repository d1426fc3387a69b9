"""Downloads over HTTP: what is offered, who may, and how one goes wrong and is taken up again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from modules.api import build_server
from modules.core.app import App
from modules.downloads import KNOWN

BASE = "http://127.0.0.1:7860"


@pytest.fixture
def client(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The hub's files lie at an address that is refused before anybody is asked."""
    import huggingface_hub.constants as hub

    template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(hub, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    with TestClient(build_server(app), base_url=BASE) as client:
        yield client


def downloads(client: TestClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/easel/v1/downloads").json()["downloads"]
    return found


def wait(client: TestClient) -> dict[str, Any]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        (one,) = downloads(client)
        if one["state"] not in ("waiting", "running"):
            return one
        time.sleep(0.01)
    raise AssertionError("the download does not end")


def test_offer_says_licence_and_whether_it_is_here(client: TestClient, app: App) -> None:
    vae = app.paths.vaes[0] / "sdxl_vae.safetensors"
    vae.parent.mkdir(parents=True, exist_ok=True)
    vae.touch()
    reply = client.get("/easel/v1/downloads").json()
    assert (reply["refusal"], reply["downloads"]) == ("", [])
    assert [row["name"] for row in reply["known"]] == [row.name for row in KNOWN]
    assert all(row["licence"] and row["page"].startswith("https://") for row in reply["known"])
    assert [row["name"] for row in reply["known"] if row["is_here"]] == ["sdxl-vae"]


def test_look_up_tells_the_terms_and_fetches_nothing(client: TestClient) -> None:
    found = client.post("/easel/v1/downloads/look", json={"source": "sdxl-turbo"}).json()
    assert "Stability AI" in found["licence"] and found["kind"] == "checkpoint"
    assert found["files"][0]["size"] == 6_938_081_905 and found["files"][0]["has_checksum"]
    assert downloads(client) == []


@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        ("sd51", 404, "did you mean 'sd15'"),
        ("owner/name", 502, "HF_HUB_OFFLINE"),
        ("https://127.0.0.1/a.safetensors", 422, "local networks"),
        ("http://example.org/a.safetensors", 422, "https://"),
        ("https://huggingface.co/gpt2", 422, "owner/name"),
        ("", 404, "model"),
    ],
)
def test_mistake_is_named(client: TestClient, source: str, status: int, words: str) -> None:
    reply = client.post("/easel/v1/downloads/look", json={"source": source})
    assert (reply.status_code, words in reply.json()["detail"]) == (status, True)


def test_failed_download_is_shown_taken_up_and_forgotten(client: TestClient) -> None:
    begun = client.post("/easel/v1/downloads", json={"source": "sd15"}).json()
    failed = wait(client)
    assert (failed["state"], failed["file"]) == ("failed", "v1-5-pruned-emaonly.safetensors")
    assert "begins with https://" in failed["message"]
    again = client.post(f"/easel/v1/downloads/{begun['id']}/resume", json={}).json()
    wait(client)
    assert client.post(f"/easel/v1/downloads/{again['id']}/stop", json={}).status_code == 404
    assert client.post(f"/easel/v1/downloads/{again['id']}/forget", json={}).status_code == 200
    assert downloads(client) == []
    assert client.post("/easel/v1/downloads/99/stop", json={}).status_code == 404


def test_wrong_kind_is_refused_at_once(client: TestClient) -> None:
    reply = client.post("/easel/v1/downloads", json={"source": "sd15", "kind": "loras"})
    assert (reply.status_code, downloads(client)) == (422, [])


def test_public_page_without_login_cannot_fill_the_disk(make_app: Any) -> None:
    open_to_all = make_app("--listen")
    with TestClient(build_server(open_to_all), base_url=BASE) as client:
        assert "--gradio-auth" in client.get("/easel/v1/downloads").json()["refusal"]
        for path, body in (
            ("", {"source": "sd15"}),
            ("/look", {"source": "sd15"}),
            ("/1/resume", {}),
        ):
            assert client.post(f"/easel/v1/downloads{path}", json=body).status_code == 403
