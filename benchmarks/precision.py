"""What bfloat16 and float16 cost against float32, in levels of 255, on one checkpoint.

Draws the same requests in each format on the CPU and compares the 8-bit pictures; the VAE computes
in the format of the model, or in float32 where the line says so:

    python -m benchmarks.precision models/Stable-diffusion/easel-mini.safetensors --size 128
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from modules.setup.torchvision_compat import install

install()

from modules.core.hooks import Hooks  # noqa: E402
from modules.core.paths import paths_of  # noqa: E402
from modules.core.settings import Settings  # noqa: E402
from modules.model_manager import Catalogue, Hashes, ModelManager, VaeCatalogue  # noqa: E402
from modules.model_manager.device import DeviceChoice  # noqa: E402
from modules.processing.prepare import prepare_request  # noqa: E402
from modules.processing.report import SilentReport  # noqa: E402
from modules.processing.run import Services, run_request  # noqa: E402
from modules.setup.flags import parse_flags  # noqa: E402

SAMPLERS = ("Euler a", "DPM++ 2M", "DPM++ SDE")
PROMPTS = ("a cat, 3d style", "a red car on a blue background", "a (house:1.3), flat style")
FORMATS = (
    ("float32", torch.float32, torch.float32),
    ("bfloat16", torch.bfloat16, torch.bfloat16),
    ("bfloat16, VAE float32", torch.bfloat16, torch.float32),
    ("float16", torch.float16, torch.float16),
    ("float16, VAE float32", torch.float16, torch.float32),
)


def draw(
    checkpoint: Path, place: DeviceChoice, data: Path, *, size: int, steps: int
) -> dict[str, np.ndarray]:
    """Pictures (H, W, 3) int16 of every prompt, stacked, by sampler."""
    models = checkpoint.parent.parent
    flags = parse_flags(["--data-dir", str(data), "--models-dir", str(models)], {}, data)
    paths = paths_of(flags, data)
    catalogue = Catalogue(paths.checkpoints, Hashes(paths.cache / "hashes.json"))
    manager = ModelManager(
        catalogue, VaeCatalogue(paths.vaes, paths.checkpoints, None), lambda: place
    )
    services = Services(manager, Hooks(), paths)
    pictures: dict[str, np.ndarray] = {}
    for sampler in SAMPLERS:
        images = []
        for index, prompt in enumerate(PROMPTS):
            values = {"prompt": prompt, "seed": 1000 + index, "sampler_name": sampler}
            request = prepare_request(
                values | {"steps": steps, "width": size, "height": size, "cfg_scale": 5.0},
                settings=Settings(None).view(),
                catalogue=catalogue,
                overrides={"sd_model_checkpoint": checkpoint.name},
                save_samples=False,
                save_grid=False,
            )
            image = run_request(request, services, SilentReport()).images[0]
            images.append(np.asarray(image).astype(np.int16))
        pictures[sampler] = np.stack(images)
    return pictures


def compare(ours: np.ndarray, exact: np.ndarray) -> str:
    """Mean and 99.5 % of the absolute difference in levels, and PSNR in dB."""
    difference = np.abs(ours - exact)
    error = float((difference.astype(np.float64) ** 2).mean())
    psnr = 10 * np.log10(255**2 / error) if error else float("inf")
    return f"{difference.mean():6.2f} {np.percentile(difference, 99.5):7.1f} {psnr:7.1f}"


def report(checkpoint: Path, *, size: int, steps: int) -> Sequence[str]:
    """The lines of the table."""
    lines = [f"{'format':24}{'sampler':12}  mean   99.5%    PSNR"]
    exact: dict[str, np.ndarray] = {}
    for name, dtype, vae_dtype in FORMATS:
        place = DeviceChoice(torch.device("cpu"), dtype, vae_dtype, f"Comparing {name}.")
        with tempfile.TemporaryDirectory() as data:
            drawn = draw(checkpoint, place, Path(data), size=size, steps=steps)
        exact = exact or drawn
        lines += [f"{name:24}{s:12}{compare(drawn[s], exact[s])}" for s in SAMPLERS]
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    for line in report(options.checkpoint.resolve(), size=options.size, steps=options.steps):
        print(line)


if __name__ == "__main__":
    main()
