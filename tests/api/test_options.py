from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from modules.core.app import App
from modules.model_manager import ModelChoice

OPTIONS = "/sdapi/v1/options"


def test_get_lists_ours_and_a1111s(client: TestClient) -> None:
    options = client.get(OPTIONS).json()
    assert options["samples_format"] == "png" and options["CLIP_stop_at_last_layers"] == 1
    assert "face_restoration_model" in options and len(options) > 300


def test_post_stores_and_answers_null(client: TestClient, app: App, tmp_path: Path) -> None:
    reply = client.post(OPTIONS, json={"jpeg_quality": "70", "face_restoration_model": "GFPGAN"})
    assert reply.status_code == 200 and reply.json() is None
    assert app.settings.view()["jpeg_quality"] == 70
    kept = json.loads((tmp_path / "config.json").read_text())
    assert kept == {"jpeg_quality": 70, "face_restoration_model": "GFPGAN"}


@pytest.mark.parametrize(
    ("changes", "status", "part"),
    [
        ({"no_such_key": 1}, 404, "Unknown setting 'no_such_key'"),
        ({"jpeg_quality": 500}, 422, "allowed: 1 to 100"),
        ({"samples_format": "bmp"}, 422, "allowed: png"),
        ({"samples_save": "maybe"}, 422, "true or false"),
        ({"sd_model_checkpoint": "nope"}, 404, "Unknown checkpoint 'nope'"),
        ({"sd_vae": "nope"}, 404, "Unknown VAE 'nope'"),
        ({"sd_model_checkpoint": "zbroken"}, 422, "the file is cut off"),
    ],
)
def test_one_bad_value_stores_nothing(
    client: TestClient, changes: dict[str, Any], status: int, part: str
) -> None:
    before = client.get(OPTIONS).json()
    reply = client.post(OPTIONS, json={"grid_save": False, **changes, "n_rows": 3})
    assert reply.status_code == status and part in reply.json()["detail"]
    assert client.get(OPTIONS).json() == before


@pytest.mark.parametrize("body", ["[]", "3", '"x"', "null"])
def test_body_must_be_an_object(client: TestClient, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    assert client.post(OPTIONS, content=body, headers=headers).status_code == 422


def test_restricted_settings_stay_silently(client: TestClient, app: App) -> None:
    reply = client.post(OPTIONS, json={"api_forbid_local_requests": False, "n_rows": 2})
    assert reply.status_code == 200
    view = app.settings.view()
    assert (view["api_forbid_local_requests"], view["n_rows"]) == (True, 2)


def test_whole_dictionary_may_be_posted_back(client: TestClient) -> None:
    options = client.get(OPTIONS).json()
    assert client.post(OPTIONS, json=options).status_code == 200
    assert client.get(OPTIONS).json() == options


def test_checkpoint_is_loaded_before_the_answer(client: TestClient, app: App) -> None:
    assert client.post(OPTIONS, json={"sd_model_checkpoint": "tiny"}).status_code == 200
    assert (app.models.state.status, app.models.state.title) == ("ready", "tiny.safetensors")
    assert client.get(OPTIONS).json()["sd_model_checkpoint"] == "tiny.safetensors"


def test_loaded_checkpoint_is_named_where_none_was_chosen(client: TestClient, app: App) -> None:
    assert client.get(OPTIONS).json()["sd_model_checkpoint"] is None
    assert client.post("/sdapi/v1/reload-checkpoint").json() == {}
    assert client.get(OPTIONS).json()["sd_model_checkpoint"] == app.models.state.title
    assert app.settings.view()["sd_model_checkpoint"] is None


def test_posting_what_is_loaded_waits_for_nobody(client: TestClient, app: App) -> None:
    """A running job holds the model; clients that post all options back must not hang."""
    client.post("/sdapi/v1/reload-checkpoint")
    options = client.get(OPTIONS).json()
    is_held, may_go = threading.Event(), threading.Event()
    replies: list[Any] = []

    def hold() -> None:
        with app.models.use(ModelChoice()):
            is_held.set()
            may_go.wait(20)

    holder = threading.Thread(target=hold)
    poster = threading.Thread(target=lambda: replies.append(client.post(OPTIONS, json=options)))
    holder.start()
    try:
        assert is_held.wait(10)
        poster.start()
        poster.join(10)
        assert [reply.status_code for reply in replies] == [200]
    finally:
        may_go.set()
        holder.join()


def test_unload_gives_the_model_back(client: TestClient, app: App) -> None:
    client.post("/sdapi/v1/reload-checkpoint")
    assert client.post("/sdapi/v1/unload-checkpoint").json() == {}
    assert app.models.state.status == "none"


def test_vae_may_be_chosen_before_there_is_a_model(
    client: TestClient, app: App, tmp_path: Path
) -> None:
    for file in (tmp_path / "models/Stable-diffusion").rglob("*.safetensors"):
        file.unlink()
    app.models.catalogue.refresh()
    assert client.post(OPTIONS, json={"sd_vae": "vae.safetensors"}).status_code == 200
    assert app.settings.view()["sd_vae"] == "vae.safetensors"


def test_the_outputs_cannot_be_moved_out_of_the_data_folder(
    client: TestClient, app: App, tmp_path: Path
) -> None:
    reply = client.post(OPTIONS, json={"jpeg_quality": 70, "outdir_samples": "/tmp/x"})
    assert reply.status_code == 422 and "outdir_samples" in reply.json()["detail"]
    assert app.settings.view().changed() == {}
    app.settings.update({"outdir_samples": "/tmp/x"})
    assert client.post(OPTIONS, json=client.get(OPTIONS).json()).status_code == 200
    inside = {"outdir_samples": str(tmp_path / "mine")}
    assert client.post(OPTIONS, json=inside).status_code == 200
    assert app.settings.view()["outdir_samples"] == inside["outdir_samples"]
