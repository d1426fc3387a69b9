from __future__ import annotations

import base64
import io
import json
import threading
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from modules.core.app import App

SMALL = {"prompt": "a cat", "seed": 5, "steps": 2, "width": 64, "height": 64}


def post(client: TestClient, **body: Any) -> Any:
    return client.post("/sdapi/v1/txt2img", json={**SMALL, **body})


def images(reply: Any) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(text))) for text in reply.json()["images"]]


def test_reply_holds_pictures_parameters_and_info(client: TestClient) -> None:
    reply = post(client)
    assert reply.status_code == 200
    (image,) = images(reply)
    assert image.format == "PNG" and image.size == (64, 64)
    assert image.info["parameters"].startswith("a cat\nSteps: 2, Seed: 5")
    assert json.loads(reply.json()["info"])["seed"] == 5


def test_parameters_echo_every_field_with_defaults(client: TestClient) -> None:
    echo = post(client, sampler_index="Euler a", unknown_field=1).json()["parameters"]
    assert (echo["prompt"], echo["cfg_scale"], echo["sampler_index"]) == ("a cat", 7.0, "Euler a")
    assert echo["save_images"] is False and echo["override_settings"] is None
    assert "unknown_field" not in echo and "hr_upscaler" in echo


def test_send_images_false_gives_no_pictures(client: TestClient) -> None:
    assert post(client, send_images=False).json()["images"] == []


@pytest.mark.parametrize(
    ("save_images", "body", "expected"),
    [
        (False, {}, (False, False)),
        (True, {}, (True, True)),
        (True, {"do_not_save_grid": True}, (True, False)),
        (True, {"do_not_save_samples": True}, (False, True)),
    ],
)
def test_save_images_decides_what_is_saved(
    client: TestClient, app: App, save_images: bool, body: dict[str, bool], expected: Any
) -> None:
    post(client, save_images=save_images, **body)
    request = app.jobs.finished()[0].request
    assert (request.save_samples, request.save_grid) == expected


@pytest.mark.parametrize(
    "body",
    [
        {"steps": "2"},
        {"steps": 2.0},
        {"batch_size": True},
        {"cfg_scale": "7"},
        {"seed": None, "styles": None, "prompt": None, "override_settings": None},
        {"override_settings": {"sd_vae": None, "CLIP_stop_at_last_layers": 2}},
        {"prompt": 12},
        {"alwayson_scripts": {}, "script_args": [], "script_name": ""},
    ],
)
def test_loose_values_are_accepted(client: TestClient, body: dict[str, Any]) -> None:
    assert post(client, **body).status_code == 200


def test_sampler_name_wins_over_sampler_index(client: TestClient, app: App) -> None:
    post(client, sampler_name="k_euler_a", sampler_index="DDIM", scheduler="karras")
    params = app.jobs.finished()[0].request.params
    assert (params.sampler_name, params.scheduler) == ("Euler a", "Karras")
    post(client)
    assert app.jobs.finished()[0].request.params.sampler_name == "Euler"


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        ({"sampler_name": "Eular"}, 404, "did you mean 'Euler'?"),
        ({"scheduler": "Karas"}, 404, "did you mean 'Karras'?"),
        ({"enable_hr": True, "hr_upscaler": "ESRGAN"}, 404, "ESRGAN"),
        ({"override_settings": {"sd_model_checkpoint": "nope"}}, 404, "checkpoint 'nope'"),
        ({"override_settings": {"no_such_key": 1}}, 404, "no_such_key"),
        ({"override_settings": {"jpeg_quality": 500}}, 422, "jpeg_quality"),
        ({"script_name": "x/y/z plot"}, 422, "Script 'x/y/z plot' not found"),
        ({"script_name": "two seeds", "script_args": [1, 0, 2]}, 422, "at most 2 arguments"),
        ({"script_name": "two seeds", "script_args": ["far"]}, 422, "Seeds apart: 'far'"),
        ({"script_name": "two seeds", "script_args": [1, "diagonal"]}, 422, "Layout: 'diagonal'"),
        ({"script_name": "two seeds", "script_args": [13]}, 422, "that is bad luck"),
        ({"alwayson_scripts": {"Two Seeds": {"args": []}}}, 422, "selectable script in the always"),
        ({"alwayson_scripts": {"ADetailer": {"args": []}}}, 422, "Script 'ADetailer' not found"),
    ],
)
def test_wrong_names_are_answered_in_the_envelope(
    client: TestClient, body: dict[str, Any], status: int, part: str
) -> None:
    reply = post(client, **body)
    assert reply.status_code == status
    assert set(reply.json()) == {"error", "detail", "body", "errors"}
    assert part in reply.json()["detail"] and reply.json()["body"] == ""
    assert reply.json()["errors"] == reply.json()["detail"]


@pytest.mark.parametrize(
    ("body", "place", "kind"),
    [
        ({"steps": 0}, ["body", "steps"], "greater_than_equal"),
        ({"steps": 2.5}, ["body", "steps"], "int_from_float"),
        ({"width": 7}, ["body", "width"], "greater_than_equal"),
        ({"height": 10**9}, ["body", "height"], "less_than_equal"),
        ({"seed": "x"}, ["body", "seed"], "int_parsing"),
        ({"styles": "Oil"}, ["body", "styles"], "tuple_type"),
    ],
)
def test_values_out_of_bounds_are_fastapi_422(
    client: TestClient, body: dict[str, Any], place: list[str], kind: str
) -> None:
    reply = post(client, **body)
    assert reply.status_code == 422
    (complaint,) = reply.json()["detail"]
    assert set(complaint) == {"loc", "msg", "type"}
    assert (complaint["loc"], complaint["type"]) == (place, kind)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "json_invalid"),
        (b'{"cfg_scale": NaN}', "json_invalid"),
        (b'{"cfg_scale": 1e999}', "json_invalid"),
        (b'{"prompt": "\\ud800"}', "json_invalid"),
        (b"[1]", "model_attributes_type"),
        (b"\xff\xfe", "json_invalid"),
        (b"[" * 5000 + b"]" * 5000, "json_invalid"),
    ],
)
def test_malformed_json_is_422(client: TestClient, content: bytes, kind: str) -> None:
    reply = client.post(
        "/sdapi/v1/txt2img", content=content, headers={"Content-Type": "application/json"}
    )
    assert reply.status_code == 422 and reply.json()["detail"][0]["type"] == kind


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_other_content_types_are_refused_by_name(client: TestClient, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    reply = client.post("/sdapi/v1/txt2img", content=b'{"steps": 1}', headers=headers)
    assert reply.status_code == 422
    assert "application/json" in reply.json()["detail"][0]["msg"]


def test_failed_job_is_500_without_traceback(client: TestClient) -> None:
    reply = post(client, prompt="fail")
    assert reply.status_code == 500
    assert reply.json()["error"] == "RuntimeError"
    assert "the drawing failed" in reply.json()["detail"] and "Traceback" not in reply.text
    assert post(client).status_code == 200


def test_interrupted_job_answers_with_what_is_finished(client: TestClient, app: App) -> None:
    replies: list[Any] = []
    body = {"prompt": "wait", "n_iter": 50, "steps": 2}
    worker = threading.Thread(target=lambda: replies.append(post(client, **body)))
    worker.start()
    wait_for(lambda: app.jobs.current and app.jobs.current.progress.pass_number > 2)
    assert client.post("/sdapi/v1/interrupt").json() == {}
    worker.join(10)
    assert replies[0].status_code == 200 and 1 <= len(replies[0].json()["images"]) < 50


def test_job_stopped_before_any_picture_answers_with_empty_lists(
    client: TestClient, app: App
) -> None:
    replies: list[Any] = []
    worker = threading.Thread(target=lambda: replies.append(post(client, prompt="wait", steps=500)))
    worker.start()
    wait_for(lambda: app.jobs.current)
    client.post("/sdapi/v1/interrupt")
    worker.join(10)
    info = json.loads(replies[0].json()["info"])
    assert replies[0].status_code == 200 and replies[0].json()["images"] == []
    assert (info["seed"], info["all_seeds"], info["prompt"]) == (5, [], "wait")


def test_overlapping_requests_see_only_their_own_settings(client: TestClient, app: App) -> None:
    skips = [2, 5, 1, 9]
    edges: dict[int, int] = {}

    def ask(skip: int) -> None:
        reply = post(
            client,
            prompt="wait",
            steps=4,
            override_settings={"CLIP_stop_at_last_layers": skip, "samples_format": "png"},
        )
        edges[skip] = images(reply)[0].getpixel((0, 0))[0]

    workers = [threading.Thread(target=ask, args=(skip,)) for skip in skips]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert edges == {skip: skip for skip in skips}
    assert app.settings.view()["CLIP_stop_at_last_layers"] == 1
    assert client.get("/sdapi/v1/options").json()["CLIP_stop_at_last_layers"] == 1


def test_settings_changed_while_a_job_waits_do_not_reach_it(client: TestClient, app: App) -> None:
    replies: list[Any] = []
    long = threading.Thread(target=lambda: post(client, prompt="wait", steps=10))
    queued = threading.Thread(target=lambda: replies.append(post(client, prompt="later")))
    long.start()
    wait_for(lambda: app.jobs.current)
    queued.start()
    wait_for(lambda: len(app.jobs.active()) == 2)
    client.post("/sdapi/v1/options", json={"CLIP_stop_at_last_layers": 7, "samples_format": "jpg"})
    long.join(10)
    queued.join(10)
    (image,) = images(replies[0])
    assert image.format == "PNG" and image.getpixel((0, 0))[0] == 1


@pytest.mark.parametrize(
    ("format", "expected"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")]
)
def test_pictures_come_in_the_format_of_the_setting(
    client: TestClient, format: str, expected: str
) -> None:
    (image,) = images(post(client, override_settings={"samples_format": format}))
    assert image.format == expected


def test_restricted_settings_cannot_be_overridden(client: TestClient, app: App) -> None:
    assert post(client, override_settings={"api_useragent": "x"}).status_code == 200
    assert "api_useragent" not in app.jobs.finished()[0].request.settings


def test_infotext_fills_only_what_is_unset(client: TestClient, app: App) -> None:
    text = (
        "a dog\nNegative prompt: a cat\nSteps: 3, Sampler: DDIM, CFG scale: 4, Seed: 9, "
        "Size: 32x48, Clip skip: 2, RNG: CPU"
    )
    body = {"infotext": text, "seed": 1, "override_settings": {"CLIP_stop_at_last_layers": 3}}
    reply = client.post("/sdapi/v1/txt2img", json=body)
    assert reply.status_code == 200
    request = app.jobs.finished()[0].request
    params = request.params
    assert (params.prompt, params.negative_prompt, params.seed) == ("a dog", "a cat", 1)
    assert (params.steps, params.sampler_name, params.width) == (3, "DDIM", 32)
    assert request.settings == {"CLIP_stop_at_last_layers": 3, "randn_source": "CPU"}
    assert reply.json()["parameters"]["steps"] == 3


def test_infotext_of_an_unknown_model_warns(client: TestClient) -> None:
    text = "a dog\nSteps: 3, Sampler: DDIM, CFG scale: 4, Seed: 9, Size: 32x48, Model: gone"
    reply = client.post("/sdapi/v1/txt2img", json={"infotext": text})
    (warning,) = json.loads(reply.json()["info"])["warnings"]
    assert "'gone'" in warning


def test_force_task_id_names_the_job(client: TestClient, app: App) -> None:
    post(client, force_task_id="task(mine)")
    assert app.jobs.get("task(mine)") is not None


def wait_for(condition: Any, seconds: float = 10.0) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("key", ["outdir_samples", "outdir_grids", "outdir_img2img_samples"])
def test_a_request_cannot_save_outside_the_data_folder(
    client: TestClient, app: App, key: str
) -> None:
    reply = post(client, override_settings={key: "/tmp/x"})
    assert reply.status_code == 422 and reply.json()["detail"].startswith(f"{key}: '/tmp/x'")
    assert app.jobs.finished() == ()
    assert post(client, override_settings={key: "mine"}).status_code == 200
    app.settings.update({key: "/tmp/x"})
    assert post(client, override_settings={key: "/tmp/x"}).status_code == 200


def test_control_characters_in_settings_are_refused_before_the_job(
    client: TestClient, app: App
) -> None:
    for key in ("outdir_samples", "samples_filename_pattern"):
        reply = post(client, override_settings={key: "/tmp/\0a"})
        assert reply.status_code == 422 and key in reply.json()["detail"]
    assert app.jobs.finished() == ()


def test_impossible_values_of_an_infotext_are_told(client: TestClient) -> None:
    text = "a\nSteps: 3, Sampler: DDIM, CFG scale: 4, Seed: 18446744073709551616, Size: 32x48"
    reply = client.post("/sdapi/v1/txt2img", json={"infotext": text})
    (warning,) = json.loads(reply.json()["info"])["warnings"]
    assert "Seed '18446744073709551616' was not used" in warning


@pytest.mark.parametrize("name", ["x" * 201, "a\0b", "a\nb"])
def test_names_of_jobs_are_short_and_printable(client: TestClient, name: str) -> None:
    reply = post(client, force_task_id=name)
    assert reply.status_code == 422
    (complaint,) = reply.json()["detail"]
    assert complaint["loc"] == ["body", "force_task_id"]
    assert "200 printable" in complaint["msg"]


def test_a_jobs_name_may_have_200_characters(client: TestClient, app: App) -> None:
    name = "ä" * 200
    assert post(client, force_task_id=name).status_code == 200
    assert app.jobs.get(name) is not None
