"""The client that people use, unchanged, against a real server on a real port."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import webuiapi
from PIL import Image

from modules.api import build_server
from modules.core.app import App


@pytest.fixture
def api(app: App, served: Any) -> Iterator[webuiapi.WebUIApi]:
    with served(build_server(app)) as url:
        client = webuiapi.WebUIApi(baseurl=f"{url}/sdapi/v1", sampler="Euler a", steps=2)
        yield client
        client.session.close()


def small(api: webuiapi.WebUIApi, **more: Any) -> Any:
    return api.txt2img(**{"prompt": "a cat", "width": 64, "height": 64, "seed": 7, **more})


def test_txt2img(api: webuiapi.WebUIApi) -> None:
    result = small(api, batch_size=2, negative_prompt="dog", styles=["Oil"])
    assert len(result.images) == 2 and result.image.size == (64, 64)
    assert result.info["seed"] == 7 and result.parameters["sampler_name"] == "Euler a"
    assert result.image.info["parameters"].startswith("a cat")


def test_txt2img_with_hires_fix_and_overrides(api: webuiapi.WebUIApi, app: App) -> None:
    small(
        api,
        enable_hr=True,
        hr_upscaler=webuiapi.HiResUpscaler.LatentNearest,
        hr_scale=1.5,
        override_settings={"CLIP_stop_at_last_layers": 2},
    )
    request = app.jobs.finished()[0].request
    assert (request.params.hr_upscaler, request.params.hr_scale) == ("Latent (nearest)", 1.5)
    assert request.settings == {"CLIP_stop_at_last_layers": 2}


def test_img2img_with_mask(api: webuiapi.WebUIApi, app: App) -> None:
    picture = Image.new("RGB", (64, 64), "red")
    result = api.img2img(
        images=[picture], mask_image=picture.convert("L"), mask_blur=2, inpainting_fill=1,
        prompt="a cat", width=64, height=64, seed=7,
    )  # fmt: skip
    assert result.image.size == (64, 64)
    assert result.parameters["init_images"] is None
    params: Any = app.jobs.finished()[0].request.params
    assert (params.blur, params.inpainting_fill, params.inpaint_full_res) == ((2, 2), 1, True)


def test_mistakes_are_told(api: webuiapi.WebUIApi) -> None:
    with pytest.raises(RuntimeError, match="did you mean") as raised:
        small(api, sampler_name="Eular")
    assert raised.value.args[0] == 404


def test_options(api: webuiapi.WebUIApi) -> None:
    assert api.set_options({"CLIP_stop_at_last_layers": 2}) is None
    options = api.get_options()
    assert options["CLIP_stop_at_last_layers"] == 2
    assert api.set_options(options) is None
    assert api.get_options() == options


def test_choosing_a_model(api: webuiapi.WebUIApi) -> None:
    assert "tiny.safetensors" in api.util_get_model_names()
    api.util_set_model("tiny")
    assert api.util_get_current_model() == "tiny.safetensors"
    api.util_set_model("sub/other.safetensors", find_closest=False)
    assert api.util_get_current_model() == "sub/other.safetensors"
    assert api.refresh_checkpoints() is None


def test_lists(api: webuiapi.WebUIApi) -> None:
    assert len(api.util_get_sampler_names()) == 20
    assert len(api.util_get_scheduler_names()) == 12
    assert [one["name"] for one in api.get_upscalers()] == ["None", "Lanczos", "Nearest"]
    assert api.get_latent_upscale_modes()[0] == {"name": "Latent"}
    assert api.get_sd_vae()[0]["model_name"] == "vae.safetensors"
    assert api.get_prompt_styles()[0]["name"] == "Oil"
    assert api.get_scripts() == {
        "txt2img": ["two seeds"],
        "img2img": ["only pictures!", "soft inpainting", "two seeds"],
    }
    assert api.get_cmd_flags()["nowebui"] is False
    assert api.get_memory()["ram"]["total"] > 0


def test_png_info(api: webuiapi.WebUIApi) -> None:
    image = small(api).image
    assert api.png_info(image).info.startswith("a cat\nSteps: 2, Seed: 7")
    assert api.png_info(Image.new("RGB", (8, 8))).info == ""


def test_progress_and_interrupt(api: webuiapi.WebUIApi, app: App) -> None:
    results: list[Any] = []
    work = threading.Thread(
        target=lambda: results.append(small(api, prompt="wait", n_iter=100, steps=2))
    )
    work.start()
    deadline = time.monotonic() + 10
    while api.get_progress()["progress"] < 0.02:
        assert time.monotonic() < deadline
    state = api.get_progress()["state"]
    assert (state["job_count"], state["sampling_steps"]) == (100, 2)
    assert api.skip() is None and api.interrupt() == {}
    work.join(10)
    assert 1 <= len(results[0].images) < 100
    api.util_wait_for_ready(check_interval=0.01)


def test_password(make_app: Any, served: Any) -> None:
    with served(build_server(make_app("--api-auth", "ann:a"))) as url:
        base = f"{url}/sdapi/v1"
        right = webuiapi.WebUIApi(baseurl=base, username="ann", password="a")
        wrong = webuiapi.WebUIApi(baseurl=base, username="ann", password="b")
        assert small(right, steps=1).image.size == (64, 64)
        with pytest.raises(RuntimeError) as raised:
            small(wrong, steps=1)
        assert raised.value.args[0] == 401
        right.session.close()
        wrong.session.close()


def test_disconnecting_leaves_the_job_running(api: webuiapi.WebUIApi, app: App) -> None:
    import requests

    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(
            f"{api.baseurl}/txt2img",
            json={"prompt": "wait", "steps": 30, "width": 8, "height": 8},
            timeout=0.5,
        )
    job = app.jobs.current
    assert job is not None
    assert len(job.future.result(20).images) == 1
    assert small(api).image.size == (64, 64)
