"""img2img alternative test: from a picture to its noise, and from there to a picture again."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.core.errors import BadInput, Interrupted
from modules.core.settings import Settings
from modules.extensions.host import ScriptHost
from modules.jobs.progress import JobReport
from modules.processing.inversion import invert, mixed, with_unit_spread
from modules.processing.prepare import prepare_request
from modules.processing.report import SilentReport, Stop
from modules.processing.run import Services, run_request
from tests.extensions.paint_job import PaintJob, make_img2img
from tests.extensions.parity_case import run_case

NAME = "img2img alternative test"
DEFAULTS = ["", True, True, "", "", True, 50, True, 1.0, 0.0, False]
SIGMAS = torch.cat([torch.zeros(1), torch.logspace(-1.5, 1.1, 400)])


def script(host: ScriptHost, job: PaintJob, arguments: list[Any], **values: Any) -> Any:
    p = make_img2img(job, Image.new("RGB", (64, 64)), **values)
    return host.find("img2img", NAME).run(p, *arguments)


def gaussian(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The exact denoiser of latents that are normal with mean 0 and deviation 0.5."""
    return x * 0.25 / (0.25 + sigma**2)


@pytest.mark.parametrize("is_adjusted", [False, True])
def test_the_way_up_is_that_of_the_flow(is_adjusted: bool) -> None:
    # Here the flow is known: x grows as the spread of the noisy latents does.
    latent = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(3)) * 0.5
    found = invert(gaussian, latent, SIGMAS, is_adjusted=is_adjusted)
    assert found is not None
    wanted = latent * ((0.25 + SIGMAS[-1] ** 2) ** 0.5 / 0.5)
    assert torch.allclose(found, wanted, rtol=0.05)


def test_a_stop_ends_the_way() -> None:
    steps: list[int] = []

    def on_step(step: int, denoised: torch.Tensor) -> bool:
        steps.append(step)
        return step == 3

    latent = torch.zeros((1, 4, 8, 8))
    assert invert(gaussian, latent, SIGMAS, is_adjusted=False, on_step=on_step) is None
    assert steps == [1, 2, 3]


def test_mixed_noise_keeps_its_spread() -> None:
    draw = torch.Generator().manual_seed(1)
    one, other = (torch.randn((1, 4, 64, 64), generator=draw) for _ in range(2))
    for share in (0.0, 0.3, 1.0):
        assert float(mixed(one, other, share).std()) == pytest.approx(1, abs=0.02)
    assert torch.equal(mixed(one, other, 0.0), one) and torch.equal(mixed(one, other, 1.0), other)
    spread = with_unit_spread(torch.cat([one * 3, other * 0.1]))
    assert torch.allclose(spread.std(dim=(1, 2, 3)), torch.ones(2))


def test_what_is_overridden_can_be_chosen(host: ScriptHost) -> None:
    job = PaintJob()
    arguments = ["", True, True, "a cat", "dull", True, 12, True, 1.5, 0.25, True]
    values = {"sampler_name": "DPM++ 2M", "steps": 8, "denoising_strength": 0.4}
    script(host, job, arguments, n_iter=2, **values)
    (call,) = job.calls
    got = {name: call.values[name] for name in ("prompt", "negative_prompt", *values)}
    assert got == {"prompt": "a cat", "negative_prompt": "dull", "sampler_name": "Euler",
                   "steps": 12, "denoising_strength": 1.0}  # fmt: skip
    noise = call.start_noise
    assert (noise.prompt, noise.negative_prompt, noise.steps) == ("a cat", "dull", 12)
    assert (noise.cfg_scale, noise.randomness, noise.is_adjusted) == (1.5, 0.25, True)
    assert job.passes == [4]
    assert call.extra == {
        "Decode prompt": "a cat", "Decode negative prompt": "dull", "Decode CFG scale": 1.5,
        "Decode steps": 12, "Randomness": 0.25, "Sigma Adjustment": True,
    }  # fmt: skip
    script(host, job, ["", False, False, "a cat", "", False, 12, False, 1, 0, False], **values)
    kept = job.calls[1].values
    assert kept["prompt"] == "a fox" and {name: kept[name] for name in values} == values


def test_up_and_down_again_gives_the_picture_back() -> None:
    latent = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(3)) * 0.5
    x = invert(gaussian, latent, SIGMAS, is_adjusted=True)
    assert x is not None
    for sigma, sigma_next in pairwise(SIGMAS.flip(0)):
        x = x + (x - gaussian(x, sigma)) / sigma * (sigma_next - sigma)
    assert torch.allclose(x, latent, atol=0.02)


@pytest.mark.parametrize(("place", "value", "field"), [
    (1, "yes", "Override"), (3, 5, "Original prompt"), (6, 0, "Decode steps"),
    (8, -1, "Decode CFG scale"), (9, 2, "Randomness"), (10, None, "Sigma"),
])  # fmt: skip
def test_bad_arguments_are_named(host: ScriptHost, place: int, value: Any, field: str) -> None:
    job, arguments = PaintJob(), [*DEFAULTS]
    arguments[place] = value
    with pytest.raises(BadInput, match=field):
        script(host, job, arguments)
    assert not job.calls


def test_arguments_are_a1111s(host: ScriptHost) -> None:
    controls = host.controls(host.find("img2img", NAME))
    assert [control.value for control in controls][1:] == DEFAULTS[1:]


def run(
    host: ScriptHost, services: Services, data: Path, arguments: list[Any], **changes: Any
) -> Any:
    return run_case(
        host, services, data, "poor_outpaint", script_name=NAME, script_args=arguments,
        cfg_scale=1.0, width=160, height=128, **changes,
    )  # fmt: skip


def test_all_noise_of_the_seed_is_text_to_image(
    host: ScriptHost, services: Services, tmp_path: Path
) -> None:
    fox = ["", True, True, "a fox", "", True, 4, True, 1.0, 1.0, False]
    random = run(host, services, tmp_path, fox, save=True)
    values = {"prompt": "a fox", "steps": 4, "cfg_scale": 1.0, "seed": 1234,
              "sampler_name": "Euler", "width": 160, "height": 128}  # fmt: skip
    request = prepare_request(
        values, settings=Settings(None).view(), catalogue=services.models.catalogue,
        save_samples=False, save_grid=False,
    )  # fmt: skip
    plain = np.asarray(run_request(request, services, SilentReport()).images[0]).astype(int)
    assert np.abs(np.asarray(random.images[0]) - plain).max() <= 1
    assert random.paths[0] is not None and random.paths[0].is_file()
    assert "Decode prompt: a fox" in random.infotexts[0]
    fox[9] = 0.0
    found = np.asarray(run(host, services, tmp_path, fox).images[0]).astype(int)
    assert np.abs(found - plain).mean() > 2, "the noise is the picture's"


def test_passes_are_counted_and_a_stop_in_the_first_is_heard(
    host: ScriptHost, services: Services, tmp_path: Path
) -> None:
    class StopsInFirst(JobReport):
        def step(self, step: int, preview: Any = None) -> None:
            super().step(step, preview)
            texts.add(self.progress.text)
            if step == 2 and self.progress.text == "Picture to noise":
                self.ask(Stop.NOW)

    texts: set[str] = set()
    report = StopsInFirst(preview_every=1)
    arguments = ["", True, True, "a fox", "", True, 4, True, 1.0, 0.0, False]
    with pytest.raises(Interrupted):
        run(host, services, tmp_path, arguments, report=report)
    assert texts == {"Picture to noise"} and report.progress.passes == 2
    assert report.progress.preview is not None
