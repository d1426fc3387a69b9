"""img2img alternative test: the start noise is found by walking from the picture back to noise."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from easel_img2img import arguments

from modules.extensions import Processed, Script, process_images

SAMPLER = "Override `Sampling method` to Euler?(this method is built for it)"
PROMPT = "Override `prompt` to the same value as `original prompt`?(and `negative prompt`)"
ORIGINAL, ORIGINAL_NEGATIVE = "Original prompt", "Original negative prompt"
STEPS, DECODE = "Override `Sampling Steps` to the same value as `Decode steps`?", "Decode steps"
STRENGTH, CFG = "Override `Denoising strength` to 1?", "Decode CFG scale"
RANDOMNESS, SIGMA = "Randomness", "Sigma adjustment for finding noise for image"
MOST_STEPS = 1000
MOST_CFG = 100


class Wishes(NamedTuple):
    """The script's arguments, checked; the names of switches say what they override."""

    sampler: bool
    prompt: bool
    original: str
    negative: str
    steps: bool
    decode: int
    """Steps of the walk to noise."""
    strength: bool
    cfg: float
    randomness: float
    sigma: bool
    """Whether the noise is adjusted to the sigmas."""


def read_wishes(*values: Any) -> Wishes:
    """Raises BadInput."""
    sampler, prompt, original, negative, steps, decode, strength, cfg, randomness, sigma = values
    return Wishes(
        arguments.switch(SAMPLER, sampler),
        arguments.switch(PROMPT, prompt),
        arguments.text(ORIGINAL, original),
        arguments.text(ORIGINAL_NEGATIVE, negative),
        arguments.switch(STEPS, steps),
        arguments.whole(DECODE, decode, 1, MOST_STEPS),
        arguments.switch(STRENGTH, strength),
        arguments.number(CFG, cfg, 0, MOST_CFG),
        arguments.number(RANDOMNESS, randomness, 0, 1),
        arguments.switch(SIGMA, sigma),
    )


class Img2ImgAlternativeTest(Script):
    """Finds the noise that gives the picture back, and samples from that with another prompt."""

    def title(self) -> str:
        """The name in the menu."""
        return "img2img alternative test"

    def show(self, is_img2img: bool) -> bool:
        """In img2img alone."""
        return is_img2img

    def ui(self, is_img2img: bool) -> list[Any]:
        """The script's fields; the note is an argument too, as in A1111."""
        import gradio as gr

        at = self.elem_id
        return [
            gr.Markdown("* `CFG Scale` should be 2 or lower."),
            gr.Checkbox(label=SAMPLER, value=True, elem_id=at("override_sampler")),
            gr.Checkbox(label=PROMPT, value=True, elem_id=at("override_prompt")),
            gr.Textbox(label=ORIGINAL, value="", lines=1, elem_id=at("original_prompt")),
            gr.Textbox(
                label=ORIGINAL_NEGATIVE, value="", lines=1, elem_id=at("original_negative_prompt")
            ),
            gr.Checkbox(label=STEPS, value=True, elem_id=at("override_steps")),
            gr.Slider(1, 150, value=50, step=1, label=DECODE, elem_id=at("st")),
            gr.Checkbox(label=STRENGTH, value=True, elem_id=at("override_strength")),
            gr.Slider(0, 15, value=1.0, step=0.1, label=CFG, elem_id=at("cfg")),
            gr.Slider(0, 1, value=0.0, step=0.01, label=RANDOMNESS, elem_id=at("randomness")),
            gr.Checkbox(label=SIGMA, value=False, elem_id=at("sigma_adjustment")),
        ]

    def check_arguments(self, note: Any, *values: Any) -> None:
        """Raises BadInput for bad arguments."""
        read_wishes(*values)

    def run(self, p: Any, note: Any, *values: Any) -> Processed:
        """Raises BadInput for bad arguments."""
        # Imports torch, which must not delay the page.
        from modules.processing.inversion import Inversion

        wishes = read_wishes(*values)
        own = copy.copy(p)
        inversion = Inversion(
            prompt=wishes.original,
            negative_prompt=wishes.negative,
            steps=wishes.decode,
            cfg_scale=wishes.cfg,
            randomness=wishes.randomness,
            is_adjusted=wishes.sigma,
        )
        if wishes.sampler:
            own.sampler_name = "Euler"
        if wishes.prompt:
            own.prompt, own.negative_prompt = inversion.prompt, inversion.negative_prompt
        if wishes.steps:
            own.steps = inversion.steps
        if wishes.strength:
            own.denoising_strength = 1.0
        own.start_noise = inversion
        own.extra_generation_params = p.extra_generation_params | {
            "Decode prompt": inversion.prompt,
            "Decode negative prompt": inversion.negative_prompt,
            "Decode CFG scale": inversion.cfg_scale,
            "Decode steps": inversion.steps,
            "Randomness": inversion.randomness,
            "Sigma Adjustment": inversion.is_adjusted,
        }
        p.job.expect(2 * p.n_iter)
        return process_images(own)
