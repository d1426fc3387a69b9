"""Compare our sigma samplers and Brownian noise with k-diffusion and torchsde on a toy model.

k-diffusion's requirements clash with ours, so it gets a folder of its own:

    pip install --no-deps --target DIR k-diffusion==0.1.1.post1 torchdiffeq tqdm
    python tools/oracle/compare_k_diffusion.py DIR [--write tests/data/golden/samplers.json]

Needs torch, scipy and torchsde from the usual environment. Exit status 1 where a sampler differs
by more than TOLERANCE of the largest value. `--write` keeps k-diffusion's results for the tests.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import types
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from modules.sampling.brownian import BrownianNoise
from modules.sampling.denoiser import NoiseSchedule
from modules.sampling.options import SamplerOptions
from modules.sampling.sigmas import make_sigmas
from modules.sampling.table import find_sampler, find_scheduler
from modules.sampling.walk import Walk

TOLERANCE = 2e-5
SHAPE = (2, 1, 2, 4)
SEEDS = [3, 2**35 + 11]

CASES: tuple[tuple[str, str, dict[str, float]], ...] = (
    ("Euler", "sample_euler", {}),
    ("Euler", "sample_euler", {"s_churn": 4.0, "s_tmin": 0.1, "s_tmax": 8.0, "s_noise": 1.01}),
    ("Euler a", "sample_euler_ancestral", {}),
    ("Euler a", "sample_euler_ancestral", {"eta": 0.4}),
    ("LMS", "sample_lms", {}),
    ("Heun", "sample_heun", {}),
    ("Heun", "sample_heun", {"s_churn": 4.0, "s_tmin": 0.1, "s_tmax": 8.0, "s_noise": 1.01}),
    ("DPM2", "sample_dpm_2", {}),
    ("DPM2 a", "sample_dpm_2_ancestral", {}),
    ("DPM2 a", "sample_dpm_2_ancestral", {"eta": 0.4, "s_noise": 1.01}),
    ("DPM fast", "sample_dpm_fast", {"eta": 1.0}),
    ("DPM fast", "sample_dpm_fast", {"eta": 0.0}),
    ("DPM adaptive", "sample_dpm_adaptive", {"eta": 1.0}),
    ("DPM adaptive", "sample_dpm_adaptive", {"eta": 0.0}),
    ("DPM++ 2S a", "sample_dpmpp_2s_ancestral", {}),
    ("DPM++ 2M", "sample_dpmpp_2m", {}),
    ("DPM++ SDE", "sample_dpmpp_sde", {}),
    ("DPM++ SDE", "sample_dpmpp_sde", {"eta": 0.4, "s_noise": 1.01}),
    ("DPM++ 2M SDE", "sample_dpmpp_2m_sde", {}),
    ("DPM++ 2M SDE", "sample_dpmpp_2m_sde", {"eta": 0.0}),
    ("DPM++ 2M SDE Heun", "sample_dpmpp_2m_sde", {}),
    ("DPM++ 3M SDE", "sample_dpmpp_3m_sde", {}),
    ("DPM++ 3M SDE", "sample_dpmpp_3m_sde", {"eta": 0.4}),
)
STEPS = (7, 12)


def toy_model(x: Tensor, sigma: Tensor) -> Tensor:
    """x0 where the data are 1 (three parts of ten) and -0.5 (seven), each blurred by 0.3."""
    variance = (sigma**2 + 0.3**2).reshape(-1, *[1] * (x.ndim - 1))
    first = torch.log(torch.tensor(0.3)) - (x - 1.0) ** 2 / (2 * variance)
    second = torch.log(torch.tensor(0.7)) - (x + 0.5) ** 2 / (2 * variance)
    share = torch.sigmoid(first - second)
    keep = 0.3**2 / variance
    return share * (1.0 + keep * (x - 1.0)) + (1 - share) * (-0.5 + keep * (x + 0.5))


def load_oracle(folder: Path) -> Any:
    """k-diffusion's `sampling` module, without the imports of its package that are not needed."""
    sys.path.append(str(folder))
    package = types.ModuleType("k_diffusion")
    package.__path__ = [str(folder / "k_diffusion")]
    sys.modules["k_diffusion"] = package
    sys.modules["k_diffusion.utils"] = utils = types.ModuleType("k_diffusion.utils")
    utils.append_dims = lambda x, ndim: x[(...,) + (None,) * (ndim - x.ndim)]  # type: ignore[attr-defined]
    return importlib.import_module("k_diffusion.sampling")


def main() -> int:
    """Run all cases; 1 where one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("oracle", type=Path, help="folder that k-diffusion was installed into")
    parser.add_argument("--write", type=Path, help="file for k-diffusion's results")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # torchsde warns of rounding at the ends of its interval
    oracle = load_oracle(arguments.oracle)
    model = NoiseSchedule(sd15_alphas())
    rows, worst = [], 0.0
    for name, function, options in CASES:
        for steps in STEPS:
            sigmas = make_sigmas(find_scheduler("karras"), steps, model, SamplerOptions())
            x = start(sigmas)
            wanted = run_oracle(oracle, name, function, options, sigmas)
            got = run_ours(name, options, sigmas)
            error = float((got - wanted).abs().max() / wanted.abs().max())
            worst = max(worst, error)
            print(f"{name:<20}{steps:>4}  {error:.1e}  {options or ''}")
            rows.append(
                {
                    "sampler": name,
                    "options": options,
                    "sigmas": sigmas.tolist(),
                    "x": x.flatten().tolist(),
                    "wanted": wanted.flatten().tolist(),
                }
            )
    path_error = compare_paths(oracle)
    print(f"{'Brownian path':<20}      {path_error:.1e}\nworst {max(worst, path_error):.1e}")
    if arguments.write:
        note = "results of k-diffusion 0.1.1.post1 by tools/oracle/compare_k_diffusion.py"
        content = {"note": note, "shape": SHAPE, "seeds": SEEDS, "cases": rows}
        arguments.write.write_text(json.dumps(content) + "\n")
    return int(max(worst, path_error) > TOLERANCE)


def sd15_alphas() -> Tensor:
    """alphas_cumprod of SD1.5's scaled-linear betas, (1000,) float32."""
    roots = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64)
    return torch.cumprod(1 - roots**2, dim=0).float()


def start(sigmas: Tensor) -> Tensor:
    """The latent that every case starts from."""
    stream = torch.Generator().manual_seed(1)
    return torch.randn(SHAPE, generator=stream) * sigmas[0]


def run_oracle(
    oracle: Any, name: str, function: str, options: dict[str, float], sigmas: Tensor
) -> Tensor:
    """k-diffusion's result; noise from torch's global generator or its own Brownian tree."""
    torch.manual_seed(5)
    x = start(sigmas)
    extra: dict[str, Any] = dict(options)
    if find_sampler(name).uses_brownian_noise:
        extra["noise_sampler"] = oracle.BrownianTreeNoiseSampler(
            x, sigmas[sigmas > 0].min(), sigmas.max(), seed=SEEDS
        )
    if name == "DPM++ 2M SDE Heun":
        extra["solver_type"] = "heun"
    sample: Callable[..., Tensor] = getattr(oracle, function)
    if find_sampler(name).levels == "range":
        low, high = float(sigmas[-2]), float(sigmas[0])
        if name == "DPM fast":
            extra["n"] = len(sigmas) - 1
        return sample(toy_model, x, low, high, disable=True, **extra)
    return sample(toy_model, x, sigmas, disable=True, **extra)


def run_ours(name: str, options: dict[str, float], sigmas: Tensor) -> Tensor:
    """Our result with the same noise."""
    torch.manual_seed(5)
    x = start(sigmas)
    row = find_sampler(name)
    noise: Callable[[Tensor, Tensor], Tensor] = lambda here, there: torch.randn(SHAPE)  # noqa: E731
    if row.uses_brownian_noise:
        noise = BrownianNoise(x, sigmas, SEEDS, "CPU")
    walk = Walk(
        noise=noise,
        report=lambda step, level, denoised: None,
        steps=len(sigmas) - 1,
        schedule=NoiseSchedule(sd15_alphas()),
        last_uncond=lambda: x,
        options=SamplerOptions(),
        **options,
    )
    return row.sampler()(lambda x, sigma: toy_model(x, sigma.expand(len(x))), x, sigmas, walk)


def compare_paths(oracle: Any) -> float:
    """Largest difference of Brownian increments over a fine and a coarse schedule."""
    worst = 0.0
    for count in (3, 40):
        sigmas = torch.linspace(2.7, -3.5, count).exp()
        x = torch.zeros(SHAPE)
        ours = BrownianNoise(x, sigmas, SEEDS, "CPU")
        theirs = oracle.BrownianTreeNoiseSampler(x, sigmas[-1], sigmas[0], seed=SEEDS)
        for here, there in pairwise(sigmas):
            worst = max(worst, float((ours(here, there) - theirs(here, there)).abs().max()))
    return worst


if __name__ == "__main__":
    sys.exit(main())
