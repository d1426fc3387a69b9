"""Seconds per step of Easel's sampling against a bare diffusers loop on the same network.

Both run Euler with classifier-free guidance on one model object, in turns in one process, so that
the ratio means something on a busy machine too:

    python -m benchmarks.step_speed models/Stable-diffusion/x.safetensors --size 512 --steps 5
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from modules.setup.torchvision_compat import install

install()

from diffusers import EulerDiscreteScheduler  # noqa: E402

from modules.model_manager.load import load_checkpoint  # noqa: E402
from modules.pipelines.base import EncodeOptions  # noqa: E402
from modules.pipelines.sd import StableDiffusion  # noqa: E402
from modules.sampling.conditioning import Conditioning, concatenate, constant  # noqa: E402
from modules.sampling.noise import ImageNoise, NoiseRequest  # noqa: E402
from modules.sampling.plan import Prompts, SampledModel, SamplePlan  # noqa: E402
from modules.sampling.run import sample  # noqa: E402

SEED = 1234


@dataclass(frozen=True, slots=True)
class Task:
    """What both loops do."""

    pipeline: StableDiffusion
    cond: Conditioning
    uncond: Conditioning
    shape: tuple[int, int, int]
    """Of one latent: (C, h, w)."""
    steps: int
    cfg_scale: float


def easel(task: Task) -> torch.Tensor:
    """The latent (1, C, h, w) of Easel's loop."""
    pipeline = task.pipeline
    return sample(
        SamplePlan("Euler", task.steps, task.cfg_scale),
        SampledModel(
            pipeline.predict, pipeline.alphas_cumprod, pipeline.spec.prediction or "epsilon"
        ),
        Prompts([((1.0, constant(task.cond)),)], [constant(task.uncond)]),
        ImageNoise(NoiseRequest(shape=task.shape, seeds=(SEED,))),
    )


@torch.no_grad()
def bare(task: Task) -> torch.Tensor:
    """The latent (1, C, h, w) of the loop that diffusers' documentation shows."""
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="linspace",
        prediction_type="v_prediction" if task.pipeline.spec.prediction == "v" else "epsilon",
    )
    scheduler.set_timesteps(task.steps)
    unet = task.pipeline.networks.unet
    both = concatenate([task.uncond, task.cond])
    text = both.crossattn.to(unet.device, unet.dtype)
    vector = None if both.vector is None else both.vector.to(unet.device, unet.dtype)
    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn((1, *task.shape), generator=generator).to(unet.device)
    x = x * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        pair = scheduler.scale_model_input(torch.cat((x, x)), t).to(unet.dtype)
        (answer,) = unet(pair, t, text, class_labels=vector, return_dict=False)
        without, guided = answer.float().chunk(2)
        x = scheduler.step(without + task.cfg_scale * (guided - without), t, x).prev_sample
    return x


def seconds_per_step(loop: Callable[[Task], torch.Tensor], task: Task) -> tuple[float, float]:
    """Wall time, and processor time of all threads, of one run divided by its steps."""
    started, busy = time.perf_counter(), time.process_time()
    loop(task).cpu()
    wall, processor = time.perf_counter() - started, time.process_time() - busy
    return wall / task.steps, processor / task.steps


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--size", type=int, default=512, help="pixels of the side")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cfg-scale", type=float, default=7.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float16", "bfloat16"))
    args = parser.parse_args()
    device = torch.device(args.device)
    pipeline = load_checkpoint(args.checkpoint, device, getattr(torch, args.dtype))
    options = EncodeOptions(width=args.size, height=args.size)
    cond, uncond = pipeline.encode_prompts(["a photo of a fox", ""], options)
    shape = (pipeline.spec.latent_channels, args.size // 8, args.size // 8)
    task = Task(pipeline, cond, uncond, shape, args.steps, args.cfg_scale)
    difference = (easel(task) - bare(task)).abs().mean()  # warms both up, too
    pairs = [
        (seconds_per_step(easel, task), seconds_per_step(bare, task)) for _ in range(args.rounds)
    ]
    print(f"latents differ by {difference:.2e} on average")
    for number, what in enumerate(("wall", "processor")):
        ours = statistics.median(easels[number] for easels, _ in pairs)
        theirs = statistics.median(bares[number] for _, bares in pairs)
        print(
            f"{what}: Easel {ours:.4f} s/step, bare diffusers {theirs:.4f} s/step, "
            f"ratio {ours / theirs:.3f}"
        )


if __name__ == "__main__":
    main()
