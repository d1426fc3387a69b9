"""A real server on a real queue; only the pictures are drawn instead of generated."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw

from modules.api import build_server
from modules.core.app import App
from modules.core.errors import Interrupted, ModelError
from modules.core.hooks import Hooks
from modules.core.paths import paths_of
from modules.core.settings import Settings, SettingsView, known_settings
from modules.extensions.host import ScriptHost
from modules.extensions.load import find_extensions
from modules.interrogate import Interrogator
from modules.jobs.queue import FunctionBackend, JobQueue
from modules.model_manager import (
    Catalogue,
    FileKind,
    Hashes,
    Library,
    ModelManager,
    VaeCatalogue,
)
from modules.model_manager.lending import lend_cpu
from modules.params.request import Request
from modules.params.styles import Style, StyleDatabase
from modules.processing.report import Report, Stop
from modules.processing.result import Result
from modules.setup.flags import parse_flags
from modules.setup.torchvision_compat import install

if TYPE_CHECKING:
    import torch

    from modules.model_manager.device import DeviceChoice

install()

BASE = "http://127.0.0.1:7860"

_HEADER = b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
SAFETENSORS = len(_HEADER).to_bytes(8, "little") + _HEADER + bytes(4)


@dataclass
class DrawnPipeline:
    """What the manager shows of a loaded model."""

    path: Path
    device: torch.device
    vae_fallbacks = ()
    dtype: torch.dtype
    size_bytes: int = 1 << 20
    text_widths: tuple[int, ...] = ()
    is_spoilt: bool = False


@dataclass
class Loader:
    """Loads nothing, in `seconds`; a file whose name says "broken" cannot be loaded."""

    loaded: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __call__(
        self, path: Path, device: torch.device, dtype: torch.dtype, **_: Any
    ) -> DrawnPipeline:
        time.sleep(self.seconds)
        if "broken" in path.name:
            raise ModelError(path, "the file is cut off")
        self.loaded.append(path.name)
        return DrawnPipeline(path, device, dtype)


def make_models(folder: Path) -> ModelManager:
    """A real manager over files that hold one number each."""
    checkpoints, vaes = folder / "Stable-diffusion", folder / "VAE"
    for file in ("tiny.safetensors", "sub/other.safetensors", "zbroken.safetensors"):
        (checkpoints / file).parent.mkdir(parents=True, exist_ok=True)
        (checkpoints / file).write_bytes(SAFETENSORS)
    vaes.mkdir(exist_ok=True)
    (vaes / "vae.safetensors").touch()
    loader: Any = Loader()
    return ModelManager(
        Catalogue([checkpoints], Hashes(folder / "hashes.json", enabled=False)),
        VaeCatalogue([vaes], [checkpoints], None),
        choose_cpu,
        library=Library(
            {
                FileKind.LORA: [folder / "Lora"],
                FileKind.EMBEDDING: [folder / "embeddings"],
                FileKind.HYPERNETWORK: [folder / "hypernetworks"],
            }
        ),
        loader=loader,
    )


def choose_cpu() -> DeviceChoice:
    """Where the tests' models would compute."""
    import torch  # only the tests that load a model pay for it

    from modules.model_manager.device import DeviceChoice

    return DeviceChoice(torch.device("cpu"), torch.float32, torch.float32, "test")


def draw(request: Request, report: Report) -> Result:
    """Pictures whose colour says the seed, and whose left edge says the clip skip setting.

    A prompt "wait" makes each step wait for a stop or 50 ms.
    """
    params, settings = request.params, SettingsView(known_settings(), request.settings)
    if "fail" in params.prompt:
        raise RuntimeError("the drawing failed")
    count = params.batch_size * params.n_iter
    report.begin(params.n_iter)
    images: list[Image.Image] = []
    for _ in range(params.n_iter):
        report.begin_pass("Drawing", params.steps)
        for step in range(1, params.steps + 1):
            if report.stop is Stop.NOW:
                break
            if "wait" in params.prompt:
                time.sleep(0.05)
            report.step(step, lambda: Image.new("RGB", (16, 16), "gray"))
        if report.stop is Stop.NOW:
            break
        images += [picture(request, settings) for _ in range(params.batch_size)]
        report.end_batch()
    if not images and report.stop is Stop.NOW:
        raise Interrupted("Stopped before the first picture.")
    texts = [f"{params.prompt}\nSteps: {params.steps}, Seed: {params.seed}, Size: 1x1"] * count
    return Result(
        images=tuple(images),
        infotexts=tuple(texts[: len(images)]),
        paths=(None,) * len(images),
        index_of_first_image=0,
        info={"prompt": params.prompt, "seed": params.seed, "infotexts": texts[: len(images)]},
        interrupted=report.stop is Stop.NOW,
    )


def picture(request: Request, settings: SettingsView) -> Image.Image:
    """One picture of the request's size."""
    params = request.params
    image = Image.new("RGB", (params.width, params.height), (params.seed % 256, 0, 0))
    edge = int(settings["CLIP_stop_at_last_layers"])
    ImageDraw.Draw(image).point((0, 0), fill=(edge, 0, 0))
    return image


MakeApp = Callable[..., App]


def make_interrogator(folder: Path) -> Interrogator:
    """One over `folder`, where no CLIP lies."""
    lists = (folder / "interrogate",)
    return Interrogator([folder / "models" / "CLIP"], lists, folder / "cache", lend_cpu)


def sample_scripts() -> ScriptHost:
    """The scripts of tests/data/extensions, found and loaded as those of `extensions/` are."""
    from modules.ui.script_arguments import read_controls

    samples = Path(__file__).resolve().parent.parent / "data/extensions"
    return ScriptHost(find_extensions([samples]), read_controls)


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[MakeApp]:
    """Builds an App from flags; its queue is closed at the end of the test."""
    queues: list[JobQueue] = []

    def make(*argv: str, run: Callable[[Request, Report], Result] = draw) -> App:
        flags = parse_flags(argv, {}, tmp_path)
        styles = StyleDatabase([tmp_path / "styles.csv"])
        styles.save(Style("Oil", "oil painting of {prompt}", "photo"))
        queue = JobQueue(FunctionBackend(run))
        queues.append(queue)
        return App(
            flags=flags,
            paths=paths_of(flags, tmp_path),
            settings=Settings(tmp_path / "config.json"),
            hooks=Hooks(),
            styles=styles,
            models=make_models(tmp_path / "models"),
            jobs=queue,
            scripts=sample_scripts(),
            interrogator=make_interrogator(tmp_path),
        )

    yield make
    for queue in queues:
        assert queue.close(5)


@pytest.fixture
def app(make_app: MakeApp) -> App:
    return make_app()


@pytest.fixture
def client(app: App) -> Iterator[TestClient]:
    with TestClient(build_server(app), base_url=BASE) as client:
        yield client


@pytest.fixture
def served() -> Callable[[FastAPI], AbstractContextManager[str]]:
    """Serves on a free port of this machine; gives the address."""
    return serve


@contextmanager
def serve(server: FastAPI) -> Iterator[str]:
    """The server in a thread, until the block ends."""
    runner = uvicorn.Server(uvicorn.Config(server, port=0, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not runner.started:
        assert time.monotonic() < deadline and thread.is_alive()
        time.sleep(0.01)
    port = runner.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        runner.should_exit = True
        thread.join(10)
