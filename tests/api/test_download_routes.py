"""Downloads over HTTP: what is offered, who may, and how one goes wrong and is taken up again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from modules.api import build_server
from modules.core.app import App
from modules.downloads import KNOWN, Hub
from tests.downloads.hub_site import PIPELINE, HubSite, pipeline_files
from tests.downloads.web_site import Site, served

BASE = "http://127.0.0.1:7860"


OFFLINE = Hub("http://127.0.0.1:9", is_offline=True)


@pytest.fixture
def client(app: App) -> Iterator[TestClient]:
    """The hub is said to be offline, and nobody answers where it would be."""
    with TestClient(build_server(app, hub=OFFLINE), base_url=BASE) as client:
        yield client


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as made:
        yield made


@pytest.fixture
def online(app: App, site: Site) -> Iterator[TestClient]:
    """A hub on this machine, with a pipeline."""
    hub_site = HubSite(site)
    hub_site.put(PIPELINE, pipeline_files(), license="mit")
    hub_site.put(PIPELINE, pipeline_files(1000), revision="v2", commit="c" * 40)
    with TestClient(build_server(app, hub=hub_site.hub), base_url=BASE) as client:
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
    assert "127.0.0.1: the connection failed" in failed["message"]
    again = client.post(f"/easel/v1/downloads/{begun['id']}/resume", json={}).json()
    wait(client)
    assert client.post(f"/easel/v1/downloads/{again['id']}/stop", json={}).status_code == 404
    assert client.post(f"/easel/v1/downloads/{again['id']}/forget", json={}).status_code == 200
    assert downloads(client) == []
    assert client.post("/easel/v1/downloads/99/stop", json={}).status_code == 404


def test_folder_is_offered_and_comes_into_the_list_of_checkpoints(
    online: TestClient, app: App
) -> None:
    found = online.post("/easel/v1/downloads/look", json={"source": PIPELINE}).json()
    full, half = found["files"]
    assert (full["name"], full["files"], full["has_checksum"]) == ("diffusers", 10, True)
    assert (half["name"], half["saved_as"]) == ("diffusers.fp16", "pipeline-fp16")
    before = {one.title for one in app.models.catalogue.checkpoints()}
    body = {"source": PIPELINE, "file": full["name"]}
    begun = online.post("/easel/v1/downloads", json=body).json()
    assert (begun["file"], begun["total"]) == ("pipeline", full["size"])
    done = wait(online)
    assert (done["state"], done["done"]) == ("done", full["size"])
    assert {one.title for one in app.models.catalogue.checkpoints()} - before == {"pipeline"}


def test_revision_is_looked_up_and_downloaded(online: TestClient, app: App) -> None:
    body = {"source": PIPELINE, "revision": "v2"}
    found = online.post("/easel/v1/downloads/look", json=body).json()
    begun = online.post("/easel/v1/downloads", json=body).json()
    assert begun["total"] == found["files"][0]["size"] < 20_000
    assert wait(online)["state"] == "done"


def test_folder_takes_no_kind_of_a_file(online: TestClient) -> None:
    body = {"source": PIPELINE, "kind": "lora"}
    reply = online.post("/easel/v1/downloads", json=body)
    assert (reply.status_code, downloads(online)) == (422, [])


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
