"""Measures the exported checkpoint: `python -m tools.embedded_model.evaluate`.

Fixed prompts and seeds; every concept in every style. Prints a table, writes evaluation.json in
the cache folder and the grid of all concepts for the model card.
"""

import argparse
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from PIL import Image

from tools.embedded_model.classifier import ensure_classifier, ranks
from tools.embedded_model.concepts import COLOURS, CONCEPTS, STYLES, TRAINED
from tools.embedded_model.export import NAME, load_pipeline
from tools.embedded_model.grid import tile

log = logging.getLogger(__name__)

STEPS = 20
CFG_SCALE = 5.0
BATCH = 16
SEED = 1000
# A background counts as right when its border's mean is nearer to the named colour than to others.
BORDER_PX = 4
COLOUR_CONCEPTS = ("cat", "car", "heart", "house", "rocket", "apple")


@dataclass(frozen=True, slots=True)
class Recognition:
    """Prompts and the shares whose concept comes first, and among the first five."""

    prompts: int
    first: float
    first_five: float


def draw(pipeline: StableDiffusionPipeline, prompts: Sequence[str], *, seed: int) -> np.ndarray:
    """Prompts → pictures (B, 128, 128, 3) uint8; picture i has seed + i."""
    pictures = []
    for start in range(0, len(prompts), BATCH):
        part = list(prompts[start : start + BATCH])
        generators = [
            torch.Generator().manual_seed(seed + start + index) for index in range(len(part))
        ]
        output = pipeline(
            part,
            height=128,
            width=128,
            num_inference_steps=STEPS,
            guidance_scale=CFG_SCALE,
            generator=generators,
            output_type="np",
        )
        pictures.append((output.images * 255).round().astype(np.uint8))
    return np.concatenate(pictures)


def recognise(cache: Path, pictures: np.ndarray, wanted: Sequence[int]) -> Recognition:
    """Ask the classifier which concepts it sees."""
    classifier, _ = ensure_classifier(cache)
    places = ranks(classifier, pictures, wanted)
    return Recognition(len(places), float((places == 0).mean()), float((places < 5).mean()))


def background_share(pictures: np.ndarray, wanted: Sequence[str]) -> float:
    """Share of pictures whose border is nearest to the wanted colour, of all named colours."""
    names = list(COLOURS)
    palette = np.array([COLOURS[name] for name in names], np.float32)
    right = 0
    for picture, name in zip(pictures.astype(np.float32), wanted, strict=True):
        edge = np.concatenate([picture[:BORDER_PX], picture[-BORDER_PX:]]).reshape(-1, 3)
        distance = np.abs(palette - np.median(edge, 0)).sum(1)
        right += names[int(distance.argmin())] == name
    return right / len(wanted)


def evaluate(checkpoint: Path, cache: Path, grid: Path) -> dict[str, object]:
    """Draw, rank and time; also write the grid of all concepts."""
    pipeline = prepare(checkpoint, cache)
    results: dict[str, object] = {}
    indices = [CONCEPTS.index(concept) for concept in TRAINED]
    plain = draw(pipeline, [f"a {concept.name}" for concept in TRAINED], seed=SEED)
    _write_picture(tile(plain, columns=8), grid)
    results["no style"] = _shares(recognise(cache, plain, indices))
    # The same pictures asked for their neighbour's concept: a judge that can't say no shows here.
    results["control"] = _shares(recognise(cache, plain, indices[-1:] + indices[:-1]))
    everything, wanted = [plain], list(indices)
    for style in (style for style in STYLES if style.draws > 0):
        prompts = [f"{concept.name}, {style.words}" for concept in TRAINED]
        pictures = draw(pipeline, prompts, seed=SEED)
        results[style.words] = _shares(recognise(cache, pictures, indices))
        everything.append(pictures)
        wanted += indices
    results["all"] = _shares(recognise(cache, np.concatenate(everything), wanted))
    results["background colour"] = round(_measure_backgrounds(pipeline), 3)
    results["classifier on held-out real pictures"] = round(ensure_classifier(cache)[1], 4)
    results["seconds per picture"] = round(_time_one(pipeline), 2)
    return results


def report(checkpoint: Path, cache: Path, grid: Path) -> None:
    """Evaluate, write evaluation.json in the cache folder and log it."""
    text = json.dumps(evaluate(checkpoint, cache, grid), indent=1)
    (cache / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    log.info("%s", text)


def prepare(checkpoint: Path, cache: Path) -> StableDiffusionPipeline:
    """The checkpoint read by diffusers, with DPM++ 2M Karras."""
    pipeline = load_pipeline(checkpoint, cache / "diffusers_config")
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
        pipeline.scheduler.config, algorithm_type="dpmsolver++", use_karras_sigmas=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _measure_backgrounds(pipeline: StableDiffusionPipeline) -> float:
    pairs = [(concept, colour) for concept in COLOUR_CONCEPTS for colour in COLOURS]
    prompts = [f"{concept} on a {colour} background" for concept, colour in pairs]
    pictures = draw(pipeline, prompts, seed=SEED)
    return background_share(pictures, [colour for _, colour in pairs])


def _time_one(pipeline: StableDiffusionPipeline) -> float:
    started = time.monotonic()
    draw(pipeline, ["a cat"], seed=SEED)
    return time.monotonic() - started


def _shares(result: Recognition) -> dict[str, float]:
    return {
        "prompts": result.prompts,
        "first": round(result.first, 3),
        "first five": round(result.first_five, 3),
    }


def _write_picture(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, optimize=True)


def main() -> None:
    """Evaluate the checkpoint in models/ and log the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/embedded_model"))
    parser.add_argument("--folder", type=Path, default=Path("models/Stable-diffusion"))
    parser.add_argument("--grid", type=Path, default=Path("docs/images/embedded-model-grid.png"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    checkpoint = arguments.folder / f"{NAME}.safetensors"
    report(checkpoint, arguments.cache, arguments.grid)


if __name__ == "__main__":
    main()
