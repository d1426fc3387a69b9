"""Pictures of other programs through the API, and infotexts that name what is not here."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image, PngImagePlugin

DATA = Path(__file__).parents[1] / "data" / "infotext"


def png(texts: dict[str, Any], size: tuple[int, int]) -> str:
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key, json.dumps(value) if isinstance(value, dict) else value)
    file = io.BytesIO()
    Image.new("L", size).save(file, "PNG", pnginfo=info)
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("path", ["/sdapi/v1/png-info", "/easel/v1/png-info"])
@pytest.mark.parametrize("name", [path.stem for path in sorted(DATA.glob("*.json"))])
def test_picture_of_another_program_is_told_as_an_infotext(
    client: TestClient, path: str, name: str
) -> None:
    golden = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    image = png(golden["texts"], tuple(golden["size"]))
    reply = client.post(path, json={"image": image}).json()
    assert reply["info"].split("\n") == golden["infotext"]
    assert (reply["program"], reply["not_mapped"]) == (golden["program"], golden["not_mapped"])
    assert reply["parameters"]["Prompt"] == golden["infotext"][0]
    assert reply["items"].keys() == golden["texts"].keys()


def test_infotext_of_an_unknown_vae_warns_and_is_used_without(client: TestClient) -> None:
    text = "a dog\nSteps: 3, Sampler: DDIM, CFG scale: 4, Seed: 9, Size: 32x48, VAE: gone.pt"
    reply = client.post("/sdapi/v1/txt2img", json={"infotext": text})
    assert reply.status_code == 200
    (warning,) = json.loads(reply.json()["info"])["warnings"]
    assert warning == "The infotext's VAE 'gone.pt' was not used: it is not here."
