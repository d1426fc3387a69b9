"""Pictures made larger through the API, as jobs of the same queue."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image, PngImagePlugin
from webuiapi import Upscaler, WebUIApi

from modules.api import build_server
from modules.jobs.local import LocalBackend
from modules.jobs.queue import JobQueue

BASE = "http://127.0.0.1:7860"
SINGLE, BATCH = "/sdapi/v1/extra-single-image", "/sdapi/v1/extra-batch-images"


@pytest.fixture
def local(app: Any) -> Iterator[Any]:
    """An App whose jobs are really done."""
    from dataclasses import replace

    backend = LocalBackend(models=app.models, hooks=app.hooks, paths=app.paths)
    queue = JobQueue(backend)
    yield replace(app, jobs=queue)
    assert queue.close(5)


@pytest.fixture
def client(local: Any) -> Iterator[TestClient]:
    with TestClient(build_server(local), base_url=BASE) as client:
        yield client


def encoded(size: tuple[int, int] = (64, 64), **texts: str) -> str:
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    file = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(file, "PNG", pnginfo=info)
    return base64.b64encode(file.getvalue()).decode()


def decoded(text: str) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    image.load()
    return image


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_single_picture(prefix: str, client: TestClient, local: Any) -> None:
    source = prefix + encoded(parameters="a cat\nSteps: 3")
    size = {"resize_mode": 1, "upscaling_resize_w": 100, "upscaling_resize_h": 50}
    body = {**size, "upscaler_1": "Nearest", "image": source}
    reply = client.post(SINGLE, json=body)
    assert reply.status_code == 200
    assert reply.json().keys() == {"html_info", "image"}
    words = (
        "Postprocess upscale to: 100x50, Postprocess crop to: 100x50, Postprocess upscaler: Nearest"
    )
    assert reply.json()["html_info"] == f"<p>{words}</p>"
    made: Any = decoded(reply.json()["image"])
    assert (made.size, made.mode) == ((100, 50), "RGB")
    assert (made.text["parameters"], made.text["postprocessing"]) == ("a cat\nSteps: 3", words)
    job = local.jobs.finished()[0]
    assert (job.request.kind, job.request.title, job.result.paths) == (
        "extras", "image.png", (None,))  # fmt: skip
    assert not (local.paths.data / "outputs").exists()


def test_batch(client: TestClient) -> None:
    pictures = [{"data": encoded((10, 8)), "name": "a.png"}, {"data": encoded((8, 4)), "name": "b"}]
    body = {"upscaling_resize": "1.5", "upscaler_1": "lanczos", "imageList": pictures}
    reply = client.post(BATCH, json=body).json()
    assert reply.keys() == {"html_info", "images"}
    assert reply["html_info"] == (
        "<p>Postprocess upscale by: 1.5, Postprocess upscaler: Lanczos</p>"
    )
    assert [decoded(one).size for one in reply["images"]] == [(15, 12), (12, 6)]


def test_reply_has_the_format_of_the_setting(client: TestClient, local: Any) -> None:
    local.settings.update({"samples_format": "webp"})
    reply = client.post(SINGLE, json={"upscaler_1": "Nearest", "image": encoded((8, 8))}).json()
    assert decoded(reply["image"]).format == "WEBP"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "image: 'nothing' cannot be used"),
        ({"image": None}, 422, "image: 'nothing' cannot be used"),
        ({"image": "%%%"}, 422, "it must be a picture in base64"),
        ({"image": "http://127.0.0.1/cat.png"}, 422, "api_enable_requests"),
        ({"image": encoded(), "upscaler_1": "Nearst"}, 404, "did you mean 'Nearest'"),
        ({"image": encoded(), "gfpgan_visibility": 0.5}, 422, "face restoration is not supported"),
        ({"image": encoded(), "upscaler_1": "Nearest", "upscaling_resize": 60,
          "resize_mode": 0, "upscaling_crop": None}, 200, ""),
        ({"image": encoded((3000, 3000)), "upscaler_1": "Nearest", "upscaling_resize": 60}, 422,
         "at most 128 million pixels"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told(
    client: TestClient, body: dict[str, Any], status: int, words: str
) -> None:
    reply = client.post(SINGLE, json=body)
    assert reply.status_code == status
    assert words in reply.json().get("detail", "")


@pytest.mark.parametrize(
    "body",
    [{"resize_mode": 2}, {"gfpgan_visibility": 2}, {"upscaling_resize": 0}, {"upscaler_1": [1]}],
)
def test_values_out_of_bounds_are_refused(client: TestClient, body: dict[str, Any]) -> None:
    reply = client.post(SINGLE, json={"image": encoded(), **body})
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"][1] == next(iter(body))
    assert client.post(BATCH, json={}).status_code == 422
    assert client.post(BATCH, json={"imageList": []}).status_code == 422


def test_picture_with_too_many_pixels_is_refused(client: TestClient) -> None:
    file = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(file, "PNG")
    reply = client.post(SINGLE, json={"image": base64.b64encode(file.getvalue()).decode()})
    assert reply.status_code == 422
    assert "million pixels" in reply.json()["detail"]


def test_a1111s_client_reads_the_replies(local: Any, served: Callable[..., Any]) -> None:
    picture = decoded(encoded((20, 10)))
    with served(build_server(local)) as address:
        api = WebUIApi(baseurl=f"{address}/sdapi/v1")
        one = api.extra_single_image(picture, upscaler_1=Upscaler.Lanczos, upscaling_resize=1.5)
        several = api.extra_batch_images([picture, picture], upscaler_1="Nearest",
                                         upscaling_resize=2)  # fmt: skip
        names = [row["name"] for row in api.get_upscalers()]
        assert api.get_face_restorers() == [] and api.get_realesrgan_models() == []
    assert one.image.size == (30, 15)
    assert [image.size for image in several.images] == [(40, 20)] * 2
    assert names == ["None", "Lanczos", "Nearest"]


def test_model_files_are_listed_and_used(client: TestClient, local: Any, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    from modules.model_manager import FileKind, Library
    from modules.model_manager.upscaler_files import UpscalerFiles

    folder = tmp_path / "models/RealESRGAN"
    folder.mkdir(parents=True)
    torch.manual_seed(1)
    network = SRVGGNetCompact(num_feat=4, num_conv=1, upscale=2)
    save_file(network.state_dict(), folder / "RealESRGAN_x2plus.safetensors")
    library = Library({FileKind.UPSCALER: [folder]})
    local.models.upscalers._files = UpscalerFiles(library, local.settings.view)
    rows = client.get("/sdapi/v1/upscalers").json()
    assert [row["name"] for row in rows][3:] == ["R-ESRGAN 2x+"]
    assert Path(rows[3]["model_path"]).name == "RealESRGAN_x2plus.safetensors"
    (model,) = client.get("/sdapi/v1/realesrgan-models").json()
    assert model["name"] == "R-ESRGAN 2x+"
    body = {"image": encoded((8, 6)), "upscaler_1": "R-ESRGAN 2x+", "upscaling_resize": 3}
    reply = client.post(SINGLE, json=body)
    assert decoded(reply.json()["image"]).size == (24, 18)
    broken = folder / "RealESRGAN_x2plus.safetensors"
    broken.write_bytes(broken.read_bytes()[:-50])
    reply = client.post(SINGLE, json={**body, "image": encoded((8, 7))})
    assert reply.status_code == 422 and "truncated" in reply.json()["detail"]
