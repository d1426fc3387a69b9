"""A real App on a real queue; only the pictures are drawn instead of generated."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from modules.core.app import App
from modules.core.errors import ModelError
from modules.core.hooks import Hooks
from modules.core.paths import paths_of
from modules.core.settings import Settings
from modules.extensions.host import ScriptHost
from modules.extensions.load import find_extensions
from modules.images.encode import encode_image
from modules.interrogate import Interrogator
from modules.jobs.queue import FunctionBackend, Job, JobQueue
from modules.model_manager import Catalogue, Hashes, ModelChoice, ModelManager, VaeCatalogue
from modules.model_manager.lending import lend_cpu
from modules.params.request import Request
from modules.params.styles import Style, StyleDatabase
from modules.processing.report import Report, Stop
from modules.processing.result import Result
from modules.setup.flags import parse_flags

CHECKPOINTS = ("other.safetensors", "tiny.safetensors")
_EMPTY = {"dtype": "F16", "shape": [0], "data_offsets": [0, 0]}
HEADER = json.dumps(
    {
        "model.diffusion_model.input_blocks.0.0.weight": _EMPTY,
        "cond_stage_model.transformer.text_model.final_layer_norm.weight": _EMPTY,
    }
).encode()
"""What tells an SD1 checkpoint; nothing is loaded in these tests."""


class Models(ModelManager):
    """A manager that notes what it should load instead of loading it."""

    preloaded: list[ModelChoice]

    failed: Callable[[], object]

    def preload(
        self, choice: ModelChoice, on_failed: Callable[[], object] = lambda: None
    ) -> threading.Thread:
        """Note the choice."""
        self.preloaded = [*getattr(self, "preloaded", []), choice]
        self.failed = on_failed
        return threading.Thread()


@dataclass
class Painter:
    """Draws plain pictures; a prompt "wait" waits until `go` is set or the job is stopped."""

    data: Path
    go: threading.Event = field(default_factory=threading.Event)

    def __call__(self, request: Request, report: Report) -> Result:
        params = request.params
        if "broken" in params.prompt:
            raise ModelError("tiny.safetensors", "the file is cut off")
        report.begin(params.n_iter)
        while "wait" in params.prompt and not self.go.wait(0.01):
            if report.stop is not Stop.NO:
                break
        count = params.n_iter * params.batch_size
        images = tuple(Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(count))
        infotexts = tuple(
            f"{params.prompt}\nSteps: 3, Seed: {7 + i}, Size: 8x8" for i in range(count)
        )
        return Result(
            images=images,
            infotexts=infotexts,
            paths=tuple(self._save(*each) for each in zip(images, infotexts, strict=True)),
            index_of_first_image=0,
            info={
                "prompt": params.prompt,
                "negative_prompt": params.negative_prompt,
                "seed": 7,
                "all_seeds": [7 + i for i in range(count)],
                "all_prompts": [params.prompt] * count,
                "sampler_name": params.sampler_name,
                "cfg_scale": params.cfg_scale,
                "steps": params.steps,
            },
            warnings=("LoRA 'x' is not here.",) if "lora" in params.prompt else (),
            interrupted=report.stop is not Stop.NO,
            seconds=1.5,
            memory={"peak": 1 << 20, "total": 1 << 30},
        )

    def _save(self, image: Image.Image, infotext: str) -> Path | None:
        if "unsaved" in infotext:
            return None
        folder = self.data / "outputs" / "txt2img-images"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{len(list(folder.iterdir())):05}-7.png"
        path.write_bytes(encode_image(image, "png", infotext))
        return path


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
def painter(tmp_path: Path) -> Painter:
    """What makes the pictures of `app`."""
    return Painter(tmp_path)


@pytest.fixture
def app(tmp_path: Path, painter: Painter) -> Iterator[App]:
    """An App in an empty folder with two checkpoints and one style."""
    checkpoints = tmp_path / "models" / "Stable-diffusion"
    checkpoints.mkdir(parents=True)
    for name in CHECKPOINTS:
        (checkpoints / name).write_bytes(struct.pack("<Q", len(HEADER)) + HEADER)
    flags = parse_flags([], {}, tmp_path)
    styles = StyleDatabase([tmp_path / "styles.csv"])
    styles.save(Style("Oil", "oil painting of {prompt}", "photo"))
    queue = JobQueue(FunctionBackend(painter))
    yield App(
        flags=flags,
        paths=paths_of(flags, tmp_path),
        settings=Settings(tmp_path / "config.json"),
        hooks=Hooks(),
        styles=styles,
        models=Models(
            Catalogue([checkpoints], Hashes(tmp_path / "hashes.json", enabled=False)),
            VaeCatalogue([], [checkpoints], None),
            _no_device,
        ),
        jobs=queue,
        scripts=sample_scripts(),
        interrogator=make_interrogator(tmp_path),
    )
    painter.go.set()
    queue.close(5)


def _no_device() -> None:
    raise AssertionError("these tests load no model")


@pytest.fixture
def run_job(app: App):
    """Queues parameters and waits until their job is over."""

    def run(**params: object) -> Job:
        from modules.processing.prepare import prepare_request

        request = prepare_request(
            params, settings=app.settings.view(), catalogue=app.models.catalogue
        )
        job = app.jobs.submit(request)
        job.future.exception(timeout=10)
        return job

    return run
