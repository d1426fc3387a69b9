"""Draws with the exported checkpoint through diffusers, with the settings that Easel ships.

Knows the pipelines; must not know what is measured.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from PIL import Image

from tools.embedded_model.export import load_pipeline

STEPS = 20
CFG_SCALE = 5.0
BATCH = 16
NATIVE = (128, 128)


class Drawer:
    """DPM++ 2M Karras, 20 steps, CFG 5; picture i of a call has seed + i."""

    def __init__(self, checkpoint: Path, scratch: Path) -> None:
        """Read the checkpoint in float32; `scratch` takes the configuration that this needs."""
        self._text = load_pipeline(checkpoint, scratch)
        self._text.scheduler = DPMSolverMultistepScheduler.from_config(
            self._text.scheduler.config, algorithm_type="dpmsolver++", use_karras_sigmas=True
        )
        self._image = StableDiffusionImg2ImgPipeline(**self._text.components)
        self._hole = StableDiffusionInpaintPipeline(**self._text.components)
        for pipeline in (self._text, self._image, self._hole):
            pipeline.set_progress_bar_config(disable=True)

    @property
    def pipeline(self) -> StableDiffusionPipeline:
        """The text-to-image pipeline."""
        return self._text

    def draw(
        self,
        prompts: Sequence[str],
        *,
        seed: int,
        canvas: tuple[int, int] = NATIVE,
        negative: Sequence[str] | None = None,
        cfg_scale: float = CFG_SCALE,
    ) -> np.ndarray:
        """Prompts → pictures (B, height, width, 3) uint8 of a canvas (width, height)."""
        without = list(negative or [""] * len(prompts))

        def run(rows: slice, generators: list[torch.Generator]) -> np.ndarray:
            output = self._text(
                list(prompts[rows]),
                negative_prompt=without[rows],
                width=canvas[0],
                height=canvas[1],
                num_inference_steps=STEPS,
                guidance_scale=cfg_scale,
                generator=generators,
                output_type="np",
            )
            return np.asarray(output.images)

        return _in_batches(len(prompts), seed, run)

    def change(
        self, pictures: np.ndarray, prompts: Sequence[str], *, strength: float, seed: int
    ) -> np.ndarray:
        """img2img of (B, H, W, 3) uint8 at this denoising strength; same shape."""

        def run(rows: slice, generators: list[torch.Generator]) -> np.ndarray:
            output = self._image(
                list(prompts[rows]),
                image=[Image.fromarray(picture) for picture in pictures[rows]],
                strength=strength,
                num_inference_steps=STEPS,
                guidance_scale=CFG_SCALE,
                generator=generators,
                output_type="np",
            )
            return np.asarray(output.images)

        return _in_batches(len(prompts), seed, run)

    def fill(
        self, pictures: np.ndarray, masks: np.ndarray, prompts: Sequence[str], *, seed: int
    ) -> np.ndarray:
        """Inpaint (B, H, W, 3) uint8 where masks (B, H, W) uint8 are 255; same shape."""
        height, width = pictures.shape[1:3]

        def run(rows: slice, generators: list[torch.Generator]) -> np.ndarray:
            output = self._hole(
                list(prompts[rows]),
                image=[Image.fromarray(picture) for picture in pictures[rows]],
                mask_image=[Image.fromarray(mask) for mask in masks[rows]],
                width=width,
                height=height,
                strength=1.0,
                num_inference_steps=STEPS,
                guidance_scale=CFG_SCALE,
                generator=generators,
                output_type="np",
            )
            return np.asarray(output.images)

        return _in_batches(len(prompts), seed, run)


def _in_batches(
    count: int, seed: int, run: Callable[[slice, list[torch.Generator]], np.ndarray]
) -> np.ndarray:
    parts = []
    for start in range(0, count, BATCH):
        rows = slice(start, min(start + BATCH, count))
        generators = [torch.Generator().manual_seed(seed + i) for i in range(start, rows.stop)]
        parts.append((run(rows, generators) * 255).round().astype(np.uint8))
    return np.concatenate(parts)


def seconds_from_a_cold_start(models: Path) -> float:
    """Seconds of a new Easel process that makes one picture of 20 steps and ends.

    `models` is the models folder; its first checkpoint draws.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "webui.py", "generate", "a cat", "--steps", str(STEPS)]
        command += ["--models-dir", str(models.resolve()), "--data-dir", folder]
        started = time.monotonic()
        subprocess.run([*command, "-o", f"{folder}/cat.png"], check=True, capture_output=True)
        return time.monotonic() - started
