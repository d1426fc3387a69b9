"""Loopback: each picture is what the next one starts from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from easel_img2img import arguments
from easel_img2img.start import first_picture, own_p
from PIL import Image

from modules.extensions import Processed, Script, process_images
from modules.images import image_grid
from modules.processing.p import next_seed

LOOPS, FINAL = "Loops", "Final denoising strength"
CURVE, APPEND = "Denoising strength curve", "Append interrogated prompt at each iteration"
MOST_LOOPS = 1000
USUAL_STRENGTH = 0.75
"""Where the request names none."""
CURVES: Mapping[str, Callable[[float], float]] = {
    "Aggressive": lambda progress: math.sin(progress * math.pi / 2),
    "Linear": lambda progress: progress,
    "Lazy": lambda progress: 1 - math.cos(progress * math.pi / 2),
}
"""Share of the way from the first strength to the last, by the share of loops behind."""
APPENDED = ("None", "CLIP", "DeepBooru")
ORIGINAL = 1
"""The masked content that goes on from what is there."""


def strength_at(loop: int, loops: int, first: float, last: float, curve: str) -> float:
    """The denoising strength of a loop, counted from 0.

    >>> [round(strength_at(n, 3, 0.6, 0.3, "Aggressive"), 4) for n in range(3)]
    [0.6, 0.3879, 0.3]
    """
    if loops == 1:
        return first
    strength = first + (last - first) * CURVES[curve](loop / (loops - 1))
    return min(max(strength, 0.0), 1.0)  # rounding alone can leave the range


def read_wishes(loops: Any, final: Any, curve: Any, append: Any) -> tuple[int, float, str, str]:
    """The script's arguments, checked. Raises BadInput."""
    return (
        arguments.whole(LOOPS, loops, 1, MOST_LOOPS),
        arguments.number(FINAL, final, 0, 1),
        arguments.one_of(CURVE, curve, tuple(CURVES)),
        arguments.one_of(APPEND, append, APPENDED),
    )


class LoopbackResult(Processed):
    """Each picture has its own infotext; the `info` object repeats the first (A1111 1.10)."""

    def as_info(self) -> dict[str, Any]:
        """The `info` object of REST replies."""
        return super().as_info() | {"infotexts": [self.info] * len(self.images)}


class Loopback(Script):
    """Feeds the result back as the picture to start from, with another strength each time."""

    def title(self) -> str:
        """The name in the menu."""
        return "Loopback"

    def show(self, is_img2img: bool) -> bool:
        """In img2img alone."""
        return is_img2img

    def ui(self, is_img2img: bool) -> list[Any]:
        """The script's fields."""
        import gradio as gr

        return [
            gr.Slider(1, 32, value=4, step=1, label=LOOPS, elem_id=self.elem_id("loops")),
            gr.Slider(
                0, 1, value=0.5, step=0.01, label=FINAL,
                elem_id=self.elem_id("final_denoising_strength"),
            ),
            gr.Dropdown(list(CURVES), value="Linear", label=CURVE),
            gr.Dropdown(list(APPENDED), value="None", label=APPEND),
        ]  # fmt: skip

    def check_arguments(self, *args: Any) -> None:
        """Raises BadInput for bad arguments."""
        read_wishes(*args)

    def run(self, p: Any, loops: Any, final: Any, curve: Any, append: Any) -> Processed:
        """Raises BadInput for bad arguments."""
        loops, final, curve, append = read_wishes(loops, final, curve, append)
        caption = find_caption(p, append)
        if p.batch_size > 1:
            p.job.warn("Loopback makes one picture at a time; the batch size was left out.")
        p.job.expect(loops * p.n_iter)
        own = own_p(p, **{FINAL: final, "Denoising curve": curve})
        own.do_not_save_samples = p.do_not_save_samples
        first = USUAL_STRENGTH if p.denoising_strength is None else p.denoising_strength
        strengths = [strength_at(loop, loops, first, final, curve) for loop in range(loops)]
        begin, fill = first_picture(p), p.inpainting_fill
        # A1111 draws by the seed of the job before; so the first as if all had just been made once.
        own.encode_seeds = [next_seed(own.seed, loops * p.n_iter - 1)]
        series = []
        for _ in range(p.n_iter):
            own.inpainting_fill = fill
            series.append(_one_series(own, begin, strengths, caption))
        return _result(own, [made for made in series if made])


Caption = Callable[[Image.Image], str]


def find_caption(p: Any, append: str) -> Caption | None:
    """What describes a picture in words; None where that is not wanted, or not there."""
    if append == "None":
        return None
    caption: Caption | None = getattr(p.job, "caption", None) if append == "CLIP" else None
    if caption is None:
        p.job.warn(f"No prompt was appended: interrogation with {append} is not there.")
    return caption


def _one_series(
    own: Any, picture: Image.Image, strengths: list[float], caption: Caption | None
) -> list[Processed]:
    """One job for each strength, as far as it came; the next seed each time."""
    prompt, series = own.prompt, []
    for strength in strengths:
        if own.job.is_stopped:
            break
        own.init_images, own.denoising_strength = [picture], strength
        if caption:
            own.prompt = ", ".join(part for part in (prompt, caption(picture)) if part)
        made = process_images(own)
        own.encode_seeds = [own.seed]
        own.seed = next_seed(own.seed)
        if made.images:
            series.append(made)
            picture = made.images[made.index_of_first_image]
            own.inpainting_fill = ORIGINAL
    own.prompt = prompt
    return series


def _result(own: Any, series: list[list[Processed]]) -> Processed:
    """Grids of each series, where wanted, then all pictures."""
    every = [made for row in series for made in row]
    images = [made.images[made.index_of_first_image] for made in every]
    grids, texts, places = [], [], []
    for row in series:
        if len(row) > 1 and own.job.settings["return_grid"]:
            grid = image_grid([made.images[made.index_of_first_image] for made in row], 1)
            texts.append(row[0].infotext(own, 0))
            places.append(own.job.save_grid(own, grid, texts[-1]))
            grids.append(grid)
    texts += [made.infotext(own, 0) for made in every]
    result = LoopbackResult(
        own,
        [*grids, *images],
        info=every[0].infotext(own, 0) if every else "",
        all_prompts=[made.prompt for made in every],
        all_negative_prompts=[made.negative_prompt for made in every],
        all_seeds=[made.seed for made in every],
        all_subseeds=[made.subseed for made in every],
        index_of_first_image=len(grids),
        infotexts=texts,
    )
    result.paths = [*places, *(made.paths[made.index_of_first_image] for made in every)]
    return result
