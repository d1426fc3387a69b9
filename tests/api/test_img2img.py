"""POST /sdapi/v1/img2img: the body, what is refused, and what the reply repeats."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from modules.core.app import App
from modules.params import Img2ImgParams


def png(mode: str = "RGB", size: tuple[int, int] = (16, 16)) -> str:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


SMALL = {"prompt": "a cat", "seed": 5, "steps": 2, "width": 64, "height": 64}


def post(client: TestClient, **body: Any) -> Any:
    return client.post("/sdapi/v1/img2img", json={**SMALL, "init_images": [png()], **body})


def test_job_is_img2img_with_its_parameters(client: TestClient, app: App) -> None:
    reply = post(client, mask=png("L"), inpainting_fill=1, mask_blur=7)
    assert reply.status_code == 200
    request = app.jobs.finished()[0].request
    assert request.kind == "img2img"
    assert isinstance(request.params, Img2ImgParams)
    assert (request.params.inpainting_fill, request.params.blur) == (1, (7, 7))
    assert request.params.init_images == (png(),)


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_pictures_come_plain_or_as_data_uri(client: TestClient, prefix: str) -> None:
    assert post(client, init_images=[prefix + png("RGBA")]).status_code == 200


def test_pictures_are_repeated_only_where_asked(client: TestClient) -> None:
    echo = post(client, mask=png("L")).json()["parameters"]
    assert (echo["init_images"], echo["mask"]) == (None, None)
    assert (echo["denoising_strength"], echo["inpaint_full_res"]) == (0.75, True)
    echo = post(client, mask=png("L"), include_init_images=True).json()["parameters"]
    assert (echo["init_images"], echo["mask"]) == ([png()], png("L"))


@pytest.mark.parametrize("images", [None, []])
def test_no_picture_is_404_as_in_a1111(client: TestClient, images: Any) -> None:
    reply = post(client, init_images=images)
    assert reply.status_code == 404
    assert reply.json()["detail"] == "Init image not found"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"init_images": ["nonsense!"]}, "init_images.0"),
        ({"init_images": [png(), png()]}, "init_images"),
        ({"mask": png()[:60]}, "mask"),
        ({"init_images": ["https://example.org/a.png"]}, "api_enable_requests"),
        ({"mask": "http://127.0.0.1/a.png"}, "api_enable_requests"),
        ({"alwayson_scripts": {"Soft Inpainting": {"args": [True, -1]}}}, "mask_blend_power"),
        ({"alwayson_scripts": {"Hard Inpainting": {"args": []}}}, "Hard Inpainting"),
        ({"override_settings": {"img2img_background_color": "x"}}, "img2img_background_color"),
    ],
)
def test_mistake_is_422_and_named(client: TestClient, body: dict[str, Any], words: str) -> None:
    reply = post(client, **body)
    assert reply.status_code == 422
    assert words in reply.json()["detail"]


def test_field_out_of_bounds_is_422(client: TestClient) -> None:
    reply = post(client, resize_mode=4)
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"] == ["body", "resize_mode"]


@pytest.mark.parametrize(
    "body",
    [{"inpainting_mask_invert": True}, {"mask": None, "styles": None}, {"mask_blur": "3"},
     {"alwayson_scripts": {"soft inpainting": {"args": [True, 1, 0.5]}}}],
)  # fmt: skip
def test_loose_values_are_accepted(client: TestClient, body: dict[str, Any]) -> None:
    assert post(client, **body).status_code == 200


def test_request_cannot_allow_urls_for_itself(client: TestClient) -> None:
    allow = {"api_enable_requests": True, "api_forbid_local_requests": False}
    body = {"init_images": ["http://127.0.0.1/a.png"], "override_settings": allow}
    assert post(client, **body).status_code == 422


def test_infotext_fills_what_is_left_out(client: TestClient, app: App) -> None:
    text = (
        "a dog\nSteps: 9, Sampler: Euler a, Seed: 3, Size: 64x64, Denoising strength: 0.4, "
        "Mask blur: 9, Masked content: latent noise"
    )
    body = {"infotext": text, "init_images": [png()], "denoising_strength": 0.3}
    assert client.post("/sdapi/v1/img2img", json=body).status_code == 200
    params = app.jobs.finished()[0].request.params
    assert isinstance(params, Img2ImgParams)
    assert (params.prompt, params.steps, params.denoising_strength) == ("a dog", 9, 0.3)
    assert (params.blur, params.inpainting_fill) == ((9, 9), 2)
    assert params.inpaint_full_res is False
