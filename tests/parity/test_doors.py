"""The same picture whatever the door.

The doors are the page's form, REST, the command line, an X/Y/Z plot and a queue that outlived its
program.
"""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import webui
from modules.api import build_server
from modules.command.generate import generate
from modules.core.app import App
from modules.core.errors import Interrupted
from modules.images import read
from modules.jobs import FunctionBackend, JobQueue, open_store
from modules.params import Request
from modules.processing.prepare import prepare_request
from modules.processing.result import Result
from modules.setup.flags import Flags, parse_flags
from modules.ui.events import in_event_loop
from modules.ui.overrides import write_chips
from modules.ui.tabs.txt2img import Txt2ImgTab

ROOT = Path(__file__).parents[2]
SMALL = {"prompt": "a (red:1.3) [fox:wolf:0.5]", "negative_prompt": "blurry", "steps": 3,
         "width": 64, "height": 64, "seed": 11, "cfg_scale": 4.5, "n_iter": 2}  # fmt: skip
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


def by_restart(
    app: App, flags: Flags, values: dict[str, Any], settings: dict[str, Any]
) -> list[Image.Image]:
    """Queued in a program that ends before the job begins; made by the next one."""
    request = prepare_request(
        values,
        settings=app.settings.view(),
        catalogue=app.models.catalogue,
        overrides=settings,
    )
    result = after_restart(app, flags, request.model_copy(update={"task_id": "kept"}))
    return list(result.images[result.index_of_first_image :])


def after_restart(app: App, flags: Flags, request: Request) -> Result:
    """What becomes of a request, named "kept", whose program ends before it begins."""
    assert Request.model_validate_json(request.model_dump_json()) == request
    begun, go_on = threading.Event(), threading.Event()

    def hold(_request: Request, _report: object) -> Any:
        begun.set()
        go_on.wait(60)
        raise Interrupted("The program ends.")

    first = JobQueue(FunctionBackend(hold), store=open_store(app.paths.queue_file))
    first.submit(request.model_copy(update={"task_id": "before"}))
    assert begun.wait(60)
    first.submit(request)
    threading.Timer(0.2, go_on.set).start()
    assert first.close(60)
    after = webui.build(flags, keeps_jobs=True)
    waiting = {job.id: job for job in after.jobs.active()}
    after.jobs.resume()
    result = waiting["kept"].future.result(timeout=120)
    assert after.jobs.close(10)
    return result


def by_plot(app: App, values: dict[str, Any], settings: dict[str, Any]) -> list[Image.Image]:
    """Two cells of one picture each, for the two pictures of the job."""
    seed = values["seed"]
    # A variation counts on the variation seed, everything else on the seed.
    axis = (2, values["subseed"]) if values.get("subseed_strength") else (1, seed)
    row = [axis[0], f"{axis[1]},{axis[1] + 1}", []]
    arguments = [*row, 0, "", [], 0, "", [], False, True]
    body = {"script_name": "x/y/z plot", "script_args": arguments, "n_iter": 1}
    images = by_rest(app, values | body, settings)
    assert len(images) == 3, "the grid, then its cells"
    return images[1:]


def by_page(app: App, values: dict[str, Any], settings: dict[str, Any]) -> list[Image.Image]:
    """What the Generate button of txt2img queues."""

    def build() -> tuple[Txt2ImgTab, Any]:
        with gr.Blocks():
            tab = Txt2ImgTab(app)
            tab.build(gr.Textbox())
            return tab, tab.wire_generate(gr.Textbox())

    tab, submission = in_event_loop(build)
    fields = tab.form.fields
    shown = {field: field.value for field in (*fields.values(), *tab.scripts.components)}
    shown |= {fields[name]: value for name, value in values.items()}
    shown[fields["seed"]] = str(values["seed"])
    shown[tab.overrides] = write_chips(settings, app.settings.view())
    reply = json.loads(submission.submit(shown, gr.Request(username="")))
    assert "error" not in reply, reply
    job = app.jobs.get(reply["job"])
    assert job is not None
    result = job.future.result(timeout=120)
    return list(result.images[result.index_of_first_image :])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES)
def test_every_door_gives_the_same_bytes(case: str, app: App, flags: Flags, tmp_path: Path) -> None:
    own, settings = CASES[case]
    values = SMALL | own
    rest = by_rest(app, values, settings)
    others = {
        "command line": by_command(flags, tmp_path / "out.png", values, settings),
        "page": by_page(app, values, settings),
        "plot": by_plot(app, values, settings),
        "restart": by_restart(app, flags, values, settings),
    }
    assert np.asarray(rest[0]).std() > 1, "a picture, not a blank"
    for door, images in others.items():
        pairs = zip(rest, images, strict=True)
        assert all(one.tobytes() == other.tobytes() for one, other in pairs), door
    for one, two in zip(rest, others["command line"], strict=True):
        assert read(one).infotext == read(two).infotext


SCRIPTS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "two seeds drawn for an axis": (
        "x/y/z plot", (1, "-1, -1", [], 0, "", [], 0, "", [], False, True),
    ),
    "a seed drawn for each cell": (
        "x/y/z plot", (4, "2, 3", [], 0, "", [], 0, "", [], False, True, False, True),
    ),
    "a seed drawn for each line": ("prompts from file or textbox", (False, False, "start", "a\nb")),
}  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", SCRIPTS)
def test_random_seeds_of_a_script_are_the_same_after_a_restart(
    case: str, app: App, flags: Flags
) -> None:
    name, arguments = SCRIPTS[case]
    request = prepare_request(
        SMALL | {"seed": -1, "subseed": -1, "subseed_strength": 0.5, "n_iter": 1},
        settings=app.settings.view(),
        catalogue=app.models.catalogue,
        script_name=name,
        script_args=arguments,
    )
    job = app.jobs.submit(request)
    now = job.future.result(timeout=120)
    then = after_restart(app, flags, job.request.model_copy(update={"task_id": "kept"}))
    assert now.infotexts == then.infotexts
    seeds = now.info["all_seeds"] + now.info["all_subseeds"]
    assert len(set(seeds)) >= 3 and -1 not in seeds, "drawn, and not all from one"
    for one, other in zip(now.images, then.images, strict=True):
        assert one.tobytes() == other.tobytes()
