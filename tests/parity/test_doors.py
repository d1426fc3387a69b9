"""The same picture whatever the door: REST, command line, and a request that was stored."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import webui
from modules.api import build_server
from modules.command.generate import generate
from modules.core.app import App
from modules.images import read
from modules.params import Request
from modules.processing.prepare import prepare_request
from modules.setup.flags import Flags, parse_flags

ROOT = Path(__file__).parents[2]
SMALL = {"prompt": "a (red:1.3) [fox:wolf:0.5]", "negative_prompt": "blurry", "steps": 3,
         "width": 64, "height": 64, "seed": 11, "cfg_scale": 4.5, "batch_size": 2}  # fmt: skip
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({"sampler_name": "DPM++ 2M"}, {}),
    "sde with settings": (
        {"sampler_name": "DPM++ SDE", "scheduler": "Karras", "subseed": 3, "subseed_strength": 0.2},
        {"CLIP_stop_at_last_layers": 2, "randn_source": "NV", "token_merging_ratio": 0.3},
    ),
    "hires": (
        {"sampler_name": "Euler a", "enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Lanczos",
         "hr_second_pass_steps": 2, "denoising_strength": 0.6, "tiling": True},
        {"eta_noise_seed_delta": 31337},
    ),
}  # fmt: skip


@pytest.fixture
def app(tmp_path: Path, flags: Flags) -> Iterator[App]:
    """The real application, as webui.py puts it together."""
    app = webui.build(flags)
    yield app
    assert app.jobs.close(10)


@pytest.fixture
def flags(tmp_path: Path, tiny_models: Path) -> Flags:
    words = ["--data-dir", str(tmp_path), "--models-dir", str(tiny_models), "--skip-install"]
    return parse_flags(words, {}, ROOT)


def by_rest(app: App, values: dict[str, Any], settings: dict[str, Any]) -> list[Image.Image]:
    with TestClient(build_server(app), base_url="http://127.0.0.1:7860") as client:
        body = values | {"override_settings": settings}
        reply = client.post("/sdapi/v1/txt2img", json=body)
    assert reply.status_code == 200, reply.text
    files = [base64.b64decode(image) for image in reply.json()["images"]]
    return [Image.open(io.BytesIO(file)) for file in files]


def by_command(flags: Flags, out: Path, values: dict[str, Any], settings: dict[str, Any]) -> Any:
    words = [values["prompt"], "-o", str(out)]
    for name, value in values.items():
        option = name.replace("_", "-")
        if value is True:
            words.append(f"--{option}")
        elif name != "prompt":
            words += [f"--{option}", str(value)]
    for key, value in settings.items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    assert generate(words, lambda _: webui.build(flags)) == 0
    return [Image.open(out.with_name(f"{out.stem}-{n}{out.suffix}")) for n in (1, 2)]


def by_stored_request(app: App, values: dict[str, Any], settings: dict[str, Any]) -> Any:
    request = prepare_request(
        values,
        settings=app.settings.view(),
        catalogue=app.models.catalogue,
        overrides=settings,
        save_samples=False,
        save_grid=False,
    )
    stored = Request.model_validate_json(request.model_dump_json())
    assert stored == request
    return app.jobs.submit(stored).future.result(timeout=120)


@pytest.mark.parametrize("case", CASES)
def test_every_door_gives_the_same_bytes(case: str, app: App, flags: Flags, tmp_path: Path) -> None:
    own, settings = CASES[case]
    values = SMALL | own
    rest = by_rest(app, values, settings)
    command = by_command(flags, tmp_path / "out.png", values, settings)
    stored = by_stored_request(app, values, settings)
    assert len(rest) == len(command) == len(stored.images) == 2
    for one, two, three, text in zip(rest, command, stored.images, stored.infotexts, strict=True):
        assert one.tobytes() == two.tobytes() == three.tobytes()
        assert read(one).infotext == read(two).infotext == text
    assert np.asarray(rest[0]).std() > 1, "a picture, not a blank"
