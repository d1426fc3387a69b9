"""Model upscalers within jobs: hires fix, img2img's resizing, stops and progress."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.core.errors import ModelError, NotFound
from modules.core.hooks import Hooks
from modules.core.settings import Settings
from modules.jobs.progress import JobReport
from modules.model_manager import FileKind, Library
from modules.model_manager.upscaler_files import UpscalerFiles
from modules.params.request import Request
from modules.postprocess import Upscalers
from modules.processing.p import make_p
from modules.processing.prepare import prepare_request
from modules.processing.processed import Processed
from modules.processing.report import SilentReport, Stop
from modules.processing.run import Services, run_request
from modules.processing.script_run import run_script
from modules.processing.upscaling import upscale_in_job

SMALL = {"width": 64, "height": 64, "steps": 2, "sampler_name": "Euler", "seed": 7, "prompt": "fox"}
HIRES = {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.0}


@pytest.fixture
def own(services: Services, tmp_path: Path) -> Iterator[Services]:
    """The shared model, hooks of this test alone, and an upscaler `Net` that inverts colours."""
    import torch
    from safetensors.torch import save_file
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    network = SRVGGNetCompact(num_feat=3, num_conv=0, upscale=2)
    state = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    last = max(name for name in state if name.endswith("bias"))
    state[last] += 0.25  # the picture, a little lighter: it adds to what is doubled
    folder = tmp_path / "ESRGAN"
    folder.mkdir()
    save_file(state, folder / "Net.safetensors")
    models, settings = services.models, Settings(None)
    files = UpscalerFiles(Library({FileKind.UPSCALER: [folder]}), settings.view)
    before = models.upscalers
    models.upscalers = Upscalers(files, models.lend_device)
    yield dataclasses.replace(services, hooks=Hooks())
    models.upscalers = before


def ask(own: Services, overrides: dict[str, Any] | None = None, **values: Any) -> Request:
    return prepare_request(
        SMALL | values,
        kind="img2img" if "init_images" in values else "txt2img",
        settings=Settings(None).view(),
        catalogue=own.models.catalogue,
        upscalers=own.models.upscalers,
        overrides=overrides,
        save_samples=False,
        save_grid=False,
    )


def test_hires_fix_uses_the_model_and_says_so(own: Services) -> None:
    plain = run_request(ask(own, **HIRES, hr_upscaler="Lanczos"), own, SilentReport())
    report = JobReport(-1)
    made = run_request(ask(own, **HIRES, hr_upscaler="net"), own, report)
    assert made.images[0].size == plain.images[0].size == (96, 96)
    assert made.images[0].tobytes() != plain.images[0].tobytes()
    assert "Hires upscaler: Net" in made.infotexts[0]
    assert (report.progress.pass_number, report.progress.passes) == (3, 3)  # one for the network


def test_script_may_use_it_too(own: Services) -> None:
    request = ask(own, **HIRES, hr_upscaler="Net")

    def script(p: Any) -> Processed:
        assert p.freeze().hr_upscaler == "Net"
        return p.job.process(p)

    result = run_script(request, script, own, SilentReport())
    assert "Hires upscaler: Net" in result.infotexts[0]


def test_name_is_checked_at_the_door_and_in_hooks(own: Services) -> None:
    with pytest.raises(NotFound, match="did you mean 'Net'"):
        ask(own, **HIRES, hr_upscaler="Nett")
    with pytest.raises(NotFound, match="upscaler 'Nett'"):
        ask(own, {"upscaler_for_img2img": "Nett"}, init_images=[picture()])
    p = make_p(ask(own, **HIRES, hr_upscaler="Net").params, Settings(None).view())
    with pytest.raises(NotFound):  # a p that no job has knows only what needs no file
        p.freeze()


def picture(size: tuple[int, int] = (32, 32)) -> str:
    file = io.BytesIO()
    Image.new("RGB", size, (100, 100, 100)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("values", [{}, {"resize_mode": 1}, {"resize_mode": 2}])
def test_smaller_pictures_grow_by_the_setting(values: dict[str, Any], own: Services) -> None:
    both = [
        run_request(
            ask(own, overrides, init_images=[picture()], denoising_strength=0.0, **values),
            own, SilentReport(),
        ).images[0]
        for overrides in ({}, {"upscaler_for_img2img": "Net"})
    ]  # fmt: skip
    assert both[0].tobytes() != both[1].tobytes()


def test_picture_that_is_large_enough_is_left_alone(own: Services) -> None:
    both = [
        run_request(
            ask(own, overrides, init_images=[picture((64, 64))], denoising_strength=0.0),
            own, SilentReport(),
        ).images[0].tobytes()
        for overrides in ({}, {"upscaler_for_img2img": "Net"})
    ]  # fmt: skip
    assert both[0] == both[1]


def test_stopped_picture_is_as_large_by_lanczos(own: Services) -> None:
    report = JobReport(-1)
    report.ask(Stop.NOW)
    image = Image.linear_gradient("L").resize((32, 32)).convert("RGB")
    made = upscale_in_job(image, "Net", (64, 64), own.models.upscalers, report)
    assert made.tobytes() == image.resize((64, 64), Image.Resampling.LANCZOS).tobytes()


@pytest.mark.parametrize(("tile", "tiles"), [(16, 4), (0, 1)])
def test_tiles_are_those_of_the_requests_own_settings(tile: int, tiles: int, own: Services) -> None:
    passes: dict[str, int] = {}

    class Noting(SilentReport):
        def begin_pass(self, text: str, steps: int) -> None:
            passes[text] = steps

    overrides = {"ESRGAN_tile": tile, "ESRGAN_tile_overlap": 0}
    run_request(ask(own, overrides, **HIRES, hr_upscaler="Net"), own, Noting())
    one = passes.pop("Upscaling by Net")
    small = ask(own, overrides | {"upscaler_for_img2img": "Net"},
                init_images=[picture()], denoising_strength=0.0)  # fmt: skip
    run_request(small, own, Noting())
    assert (one, passes["Upscaling by Net"]) == (tiles * 4 if tile else 1, tiles)


def test_model_that_breaks_ends_the_job_with_its_name(own: Services, tmp_path: Path) -> None:
    request = ask(own, **HIRES, hr_upscaler="Net")
    (tmp_path / "ESRGAN/Net.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(ModelError, match=r"Net\.safetensors"):
        run_request(request, own, SilentReport())
