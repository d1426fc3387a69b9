"""Cards over HTTP: pages, pictures, facts, notes; and nothing outside the model folders."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from modules.api import build_server
from modules.cards import Shelf
from modules.core.app import App
from modules.model_manager.library import FileKind, Library

BASE = "http://127.0.0.1:7860"


@pytest.fixture
def loras(tmp_path: Path) -> Path:
    """A folder with one LoRA that has everything, and one that has nothing."""
    folder = tmp_path / "Lora"
    (folder / "styles").mkdir(parents=True)
    row = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    metadata = {"ss_output_name": "ink", "ss_tag_frequency": json.dumps({"a": {"fox": 3}})}
    header = json.dumps({"__metadata__": metadata, "x.lora_up.weight": row}).encode()
    data = struct.pack("<Q", len(header)) + header + bytes(4)
    (folder / "styles" / "ink.safetensors").write_bytes(data)
    (folder / "plain.safetensors").write_bytes(data.replace(b"ss_output", b"ss_______"))
    Image.new("RGB", (800, 800), "red").save(folder / "styles" / "ink.preview.png")
    (folder / "styles" / "ink.json").write_text('{"notes": "mine", "other": 1}')
    Image.new("RGB", (8, 8)).save(tmp_path / "outside.png")
    return folder


@pytest.fixture
def client(app: App, loras: Path) -> Iterator[TestClient]:
    server = build_server(app)
    server.state.cards = Shelf(Library({FileKind.LORA: [loras]}))
    with TestClient(server, base_url=BASE) as client:
        yield client


def test_page_of_cards(client: TestClient) -> None:
    reply = client.get("/easel/v1/cards", params={"kind": "lora"}).json()
    assert (reply["total"], reply["page"], reply["page_size"]) == (2, 0, 100)
    assert [card["key"] for card in reply["cards"]] == [
        "plain.safetensors",
        "styles/ink.safetensors",
    ]
    assert reply["cards"][1]["prompt"] == "<lora:ink:1>"
    assert reply["folders"] == [{"path": "styles", "name": "styles", "count": 1}]
    assert reply["tree"] == reply["folders"]
    assert reply["options"]["sort"] == "Path"
    assert [card["preview_version"] is None for card in reply["cards"]] == [True, False]


def test_settings_shape_the_cards(client: TestClient) -> None:
    changes = {
        "extra_networks_default_multiplier": 0.5,
        "extra_networks_card_order": "Descending",
        "extra_networks_card_width": 200,
        "extra_networks_add_text_separator": ", ",
    }
    assert client.post("/sdapi/v1/options", json=changes).status_code == 200
    reply = client.get("/easel/v1/cards", params={"kind": "lora", "folder": "styles"}).json()
    assert [card["prompt"] for card in reply["cards"]] == ["<lora:ink:0.5>"]
    options = reply["options"]
    assert (options["width"], options["separator"], options["descending"]) == (200, ", ", True)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"kind": "nope"}, 404),
        ({}, 422),
        ({"kind": "lora", "sort": "Size"}, 422),
        ({"kind": "lora", "page": -1}, 422),
        ({"kind": "lora", "page": 10**9}, 200),
        ({"kind": "lora", "folder": "../../.."}, 200),
    ],
)
def test_odd_questions_get_clear_answers(
    client: TestClient, asked: dict[str, object], status: int
) -> None:
    assert client.get("/easel/v1/cards", params=asked).status_code == status


def test_picture_is_small_and_may_be_kept(client: TestClient) -> None:
    reply = client.get(
        "/easel/v1/cards/picture", params={"kind": "lora", "key": "styles/ink.safetensors"}
    )
    image = Image.open(io.BytesIO(reply.content))
    assert (reply.headers["content-type"], image.size) == ("image/webp", (400, 400))
    assert "immutable" in reply.headers["cache-control"]


@pytest.mark.parametrize(
    "key", ["plain.safetensors", "../outside.png", "styles/ink.preview.png", "/etc/passwd", ""]
)
def test_no_picture_of_anything_else(client: TestClient, key: str) -> None:
    reply = client.get("/easel/v1/cards/picture", params={"kind": "lora", "key": key})
    assert reply.status_code == 404


def test_a1111s_thumb_serves_previews_and_nothing_else(
    client: TestClient, loras: Path, tmp_path: Path
) -> None:
    path = loras / "styles" / "ink.preview.png"
    found = client.get("/sd_extra_networks/thumb", params={"filename": str(path)})
    assert found.status_code == 200 and found.content[:4] == b"RIFF"
    around = f"{loras}/styles/../styles/ink.preview.png"
    for name in (str(tmp_path / "outside.png"), around, str(loras / "plain.safetensors"), ""):
        assert client.get("/sd_extra_networks/thumb", params={"filename": name}).status_code == 404


def test_a1111s_metadata_is_json_text(client: TestClient) -> None:
    reply = client.get("/sd_extra_networks/metadata", params={"page": "lora", "item": "ink"})
    assert json.loads(reply.json()["metadata"])["ss_output_name"] == "ink"
    none = client.get("/sd_extra_networks/metadata", params={"page": "lora", "item": "?"})
    assert none.json() == {"metadata": "{}"}


def test_facts_and_notes(client: TestClient, loras: Path) -> None:
    asked = {"kind": "lora", "key": "styles/ink.safetensors"}
    found = client.get("/easel/v1/cards/facts", params=asked).json()
    assert found["rows"] == [["Name at training", "ink"]]
    assert found["tags"] == [["fox", 3]]
    assert {field["key"]: field["value"] for field in found["fields"]}["notes"] == "mine"
    values = {"preferred weight": 0.6, "activation text": "sumi", "negative text": "photo"}
    card = client.post("/easel/v1/cards/words", json={**asked, "values": values}).json()
    assert (card["prompt"], card["negative"]) == ("<lora:ink:0.6> sumi", "photo")
    written = json.loads((loras / "styles" / "ink.json").read_text())
    assert written == {"notes": "mine", "other": 1, **values}
    refused = client.post("/easel/v1/cards/words", json={**asked, "values": {"x": 1}})
    assert refused.status_code == 422


def test_picture_of_a_job_becomes_the_cards(client: TestClient, app: App, loras: Path) -> None:
    task = {"prompt": "a", "steps": 1, "width": 64, "height": 64, "force_task_id": "one"}
    client.post("/sdapi/v1/txt2img", json=task)
    asked = {"kind": "lora", "key": "plain.safetensors", "job": "one", "index": 0}
    before = client.get("/easel/v1/cards", params={"kind": "lora"}).json()["cards"][0]
    assert before["preview_version"] is None
    card = client.post("/easel/v1/cards/preview", json=asked).json()
    assert card["preview_version"] is not None
    with Image.open(loras / "plain.preview.png") as image:
        assert image.size == (64, 64)
    for wrong in ({"index": 9}, {"job": "two"}, {"key": "../plain.safetensors"}):
        reply = client.post("/easel/v1/cards/preview", json={**asked, **wrong})
        assert reply.status_code == 404


def test_refresh_finds_new_files(client: TestClient, loras: Path) -> None:
    client.get("/easel/v1/cards", params={"kind": "lora"})
    (loras / "new.safetensors").write_bytes(b"")
    asked = {"kind": "lora", "search": "new"}
    assert client.get("/easel/v1/cards", params=asked).json()["total"] == 0
    found = client.get("/easel/v1/cards", params={**asked, "refresh": True}).json()
    assert found["total"] == 1
