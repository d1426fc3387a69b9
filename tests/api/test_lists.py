from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from modules.api import build_server
from modules.api.system import cuda_memory
from modules.core.app import App
from modules.images import encode_image

GOLDEN = json.loads(
    (Path(__file__).parent.parent / "data" / "golden" / "rest_lists.json").read_text()
)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_list_is_a1111s(client: TestClient, name: str) -> None:
    assert client.get(f"/sdapi/v1/{name}").json() == GOLDEN[name]


def test_models(client: TestClient, tmp_path: Path) -> None:
    found = client.get("/sdapi/v1/sd-models").json()
    assert [one["title"] for one in found] == [
        "sub/other.safetensors",
        "tiny.safetensors",
        "zbroken.safetensors",
    ]
    assert found[0] == {
        "title": "sub/other.safetensors",
        "model_name": "sub_other",
        "hash": None,
        "sha256": None,
        "filename": str(tmp_path / "models/Stable-diffusion/sub/other.safetensors"),
        "config": None,
    }


def test_vaes(client: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "models/VAE/vae.safetensors"
    assert client.get("/sdapi/v1/sd-vae").json() == [
        {"model_name": "vae.safetensors", "filename": str(path)}
    ]


def test_refresh_finds_new_files(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "models/Stable-diffusion/new.safetensors").touch()
    (tmp_path / "models/VAE/new.safetensors").touch()
    assert client.post("/sdapi/v1/refresh-checkpoints").json() is None
    assert client.post("/sdapi/v1/refresh-vae").json() is None
    names = {one["model_name"] for one in client.get("/sdapi/v1/sd-models").json()}
    assert "new" in names
    assert len(client.get("/sdapi/v1/sd-vae").json()) == 2


def test_networks(client: TestClient, tmp_path: Path, tiny_models: Path) -> None:
    for folder in ("Lora", "embeddings", "hypernetworks"):
        shutil.copytree(tiny_models / folder, tmp_path / "models" / folder, dirs_exist_ok=True)
    (tmp_path / "models/embeddings/broken.safetensors").touch()
    for name in ("loras", "embeddings"):
        assert client.post(f"/sdapi/v1/refresh-{name}").json() is None
    loras = client.get("/sdapi/v1/loras").json()
    assert [one["name"] for one in loras] == ["t15ia3", "t15loha", "t15lokr", "t15lora"]
    assert loras[3]["alias"] == "t15lora"
    assert loras[3]["path"] == str(tmp_path / "models/Lora/t15lora.safetensors")
    assert loras[3]["metadata"]["ss_tag_frequency"] == {"1_fox": {"fox": 10, "snow": 5}}
    found = client.get("/sdapi/v1/embeddings").json()
    assert found["loaded"]["t15embst"] | {"reason": None} == {
        "step": None, "sd_checkpoint": None, "sd_checkpoint_name": None,
        "shape": 32, "vectors": 2, "reason": None,
    }  # fmt: skip
    assert found["loaded"]["t15emb"]["step"] == 10
    assert "is empty" in found["skipped"]["broken"]["reason"]
    assert client.get("/sdapi/v1/hypernetworks").json() == [
        {"name": "t15hn", "path": str(tmp_path / "models/hypernetworks/t15hn.pt")}
    ]


def test_styles(client: TestClient) -> None:
    assert client.get("/sdapi/v1/prompt-styles").json() == [
        {"name": "Oil", "prompt": "oil painting of {prompt}", "negative_prompt": "photo"}
    ]


def test_scripts_and_their_arguments(client: TestClient) -> None:
    scripts = client.get("/sdapi/v1/scripts").json()
    assert scripts == {
        "txt2img": ["two seeds"],
        "img2img": ["only pictures!", "soft inpainting", "two seeds"],
    }
    rows = client.get("/sdapi/v1/script-info").json()
    marks = ("name", "is_alwayson", "is_img2img")
    counts = [(*(row[mark] for mark in marks), len(row["args"])) for row in rows]
    assert counts == [
        ("soft inpainting", True, True, 7),
        ("two seeds", False, False, 2),
        ("only pictures!", False, True, 0),
        ("two seeds", False, True, 2),
    ]
    assert rows[1]["args"][0] == {
        "label": "Seeds apart", "value": 5, "minimum": 1, "maximum": 100, "step": 1,
        "choices": None,
    }  # fmt: skip
    assert client.get("/sdapi/v1/extensions").json() == []


def test_flags_hide_passwords(make_app: Any) -> None:
    app = make_app("--api-auth", "ann:secret", "--api")
    client = TestClient(build_server(app), base_url="http://127.0.0.1")
    reply = client.get("/sdapi/v1/cmd-flags", auth=("ann", "secret"))
    assert reply.json()["api"] is True and len(reply.json()) >= 126
    assert "secret" not in reply.text and reply.json()["api_auth"] == "***"


def test_memory_counts_bytes(client: TestClient) -> None:
    reply = client.get("/sdapi/v1/memory").json()
    ram = reply["ram"]
    assert 0 < ram["used"] < ram["total"] and ram["free"] == ram["total"] - ram["used"]
    assert "error" in reply["cuda"] or reply["cuda"]["system"]["total"] > 0


def test_cuda_memory_has_a1111s_figures() -> None:
    """Under the names of torch.cuda.memory_stats (PyTorch 2.13)."""
    stats = {"active_bytes.all.current": 5, "active_bytes.all.peak": 7, "num_ooms": 1}
    cuda = SimpleNamespace(
        is_available=lambda: True, mem_get_info=lambda: (30, 100), memory_stats=lambda: stats
    )
    found = cuda_memory(SimpleNamespace(cuda=cuda))
    assert found["system"] == {"free": 30, "used": 70, "total": 100}
    assert found["active"] == {"current": 5, "peak": 7}
    assert found["events"] == {"retries": 0, "oom": 1}
    assert {"allocated", "reserved", "inactive"} <= found.keys()


def test_cuda_memory_says_why_there_is_none() -> None:
    without = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False))
    assert "no CUDA device" in cuda_memory(without)["error"]
    assert "until a model is loaded" in cuda_memory(None)["error"]


def png(infotext: str) -> str:
    data = encode_image(Image.new("RGB", (8, 8)), "png", infotext, extra={"note": "mine"})
    return base64.b64encode(data).decode()


def test_png_info_reads_the_parameters(client: TestClient) -> None:
    text = "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Size: 64x96"
    reply = client.post("/sdapi/v1/png-info", json={"image": png(text)}).json()
    assert reply["info"] == text and reply["items"] == {"note": "mine"}
    assert reply["parameters"]["Prompt"] == "a cat" and reply["parameters"]["Size-2"] == "96"


def test_png_info_of_a_picture_without_parameters(client: TestClient) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    text = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    reply = client.post("/sdapi/v1/png-info", json={"image": text}).json()
    assert (reply["info"], reply["items"]) == ("", {})
    assert reply["parameters"]["Clip skip"] == "1"


@pytest.mark.parametrize("image", ["", "%%%", "aGVsbG8=", "https://example.com/a.png"])
def test_png_info_of_no_picture_is_422(client: TestClient, image: str) -> None:
    reply = client.post("/sdapi/v1/png-info", json={"image": image})
    assert reply.status_code == 422 and reply.json()["detail"].startswith("image: ")


def test_unknown_style_is_named(client: TestClient, app: App) -> None:
    reply = client.post("/sdapi/v1/txt2img", json={"styles": ["Oli"], "steps": 1})
    assert reply.status_code == 404 and "did you mean 'Oil'?" in reply.json()["detail"]
