"""The one definition of every generation parameter.

Names, types and defaults are those of A1111 1.10's REST bodies. Bounds say what is impossible;
sliders say what is comfortable. The form, the REST bodies, the OpenAPI page, the command line,
infotexts and the attributes of `p` are made from these classes.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from modules.params.face import Check, Choice, Face, ManyChoices, Number, Slider, Text

MAX_SIDE = 16384
MAX_SEED = 2**64 - 1

Side = Annotated[int, Field(ge=8, le=MAX_SIDE)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class GenerationParams(BaseModel):
    """What txt2img and img2img share. Frozen; unknown names are ignored, as A1111's API does."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: Annotated[
        str, Face("Prompt", Text(3, "What to draw"), tooltip="What the picture should show.")
    ] = ""
    negative_prompt: Annotated[
        str,
        Face(
            "Negative prompt",
            Text(2, "What to avoid"),
            element="neg_prompt",
            infotext="Negative prompt",
            tooltip="What the picture should not show.",
        ),
    ] = ""
    styles: Annotated[
        tuple[str, ...],
        Face("Styles", ManyChoices("styles"), tooltip="Saved pieces of prompts to add."),
    ] = ()
    seed: Annotated[
        int,
        Field(ge=-1, le=MAX_SEED),
        Face(
            "Seed",
            Number(),
            infotext="Seed",
            tooltip="Same seed and parameters, same picture; -1 takes a random one.",
        ),
    ] = -1
    subseed: Annotated[
        int,
        Field(ge=-1, le=MAX_SEED),
        Face(
            "Variation seed",
            Number(),
            infotext="Variation seed",
            tooltip="The seed of a second picture to mix in.",
        ),
    ] = -1
    subseed_strength: Annotated[
        Fraction,
        Face(
            "Variation strength",
            Slider(0, 1, 0.01),
            infotext="Variation seed strength",
            tooltip="How much of the variation: 0 is the seed's picture, 1 the variation's.",
        ),
    ] = 0.0
    seed_resize_from_h: Annotated[
        int,
        Field(ge=-1, le=MAX_SIDE),
        Face(
            "Resize seed from height",
            Slider(0, 2048, 8),
            ui_default=0,
            tooltip="Try to keep the picture that this seed gives at another height (px).",
        ),
    ] = -1
    seed_resize_from_w: Annotated[
        int,
        Field(ge=-1, le=MAX_SIDE),
        Face(
            "Resize seed from width",
            Slider(0, 2048, 8),
            ui_default=0,
            tooltip="Try to keep the picture that this seed gives at another width (px).",
        ),
    ] = -1
    sampler_name: Annotated[
        str | None,
        Face(
            "Sampling method",
            Choice("samplers"),
            infotext="Sampler",
            element="sampling",
            ui_default="DPM++ 2M",
            tooltip="The algorithm that turns noise into the picture.",
        ),
    ] = None
    scheduler: Annotated[
        str | None,
        Face(
            "Schedule type",
            Choice("schedulers"),
            infotext="Schedule type",
            ui_default="Automatic",
            tooltip="How the noise is spread over the steps.",
        ),
    ] = None
    batch_size: Annotated[
        int,
        Field(ge=1, le=1000),
        Face(
            "Batch size",
            Slider(1, 8),
            tooltip="Pictures made at the same time; more needs more memory.",
        ),
    ] = 1
    n_iter: Annotated[
        int,
        Field(ge=1, le=10000),
        Face(
            "Batch count",
            Slider(1, 100),
            element="batch_count",
            tooltip="How many batches to make, one after another.",
        ),
    ] = 1
    steps: Annotated[
        int,
        Field(ge=1, le=10000),
        Face(
            "Sampling steps",
            Slider(1, 150),
            infotext="Steps",
            ui_default=20,
            tooltip="More steps take longer and are more exact; 20 is plenty for most samplers.",
        ),
    ] = 50
    cfg_scale: Annotated[
        float,
        Field(ge=-1000, le=1000),
        Face(
            "CFG Scale",
            Slider(1, 30, 0.5),
            infotext="CFG scale",
            tooltip="How strictly to follow the prompt.",
        ),
    ] = 7.0
    width: Annotated[
        Side,
        Face("Width", Slider(64, 2048, 8), tooltip="Width of the picture in pixels."),
    ] = 512
    height: Annotated[
        Side,
        Face("Height", Slider(64, 2048, 8), tooltip="Height of the picture in pixels."),
    ] = 512
    restore_faces: Annotated[bool | None, Face("Restore faces")] = None
    tiling: Annotated[
        bool | None,
        Face(
            "Tiling",
            Check(),
            infotext="Tiling",
            ui_default=False,
            tooltip="A picture that can be laid edge to edge with itself.",
        ),
    ] = None
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    eta: Annotated[Fraction | None, Face("Eta")] = None
    denoising_strength: Annotated[
        Fraction | None,
        Face(
            "Denoising strength",
            Slider(0, 1, 0.01),
            infotext="Denoising strength",
            ui_default=0.7,
            tooltip="How much the second pass may change: 0 nothing, 1 everything.",
        ),
    ] = None
    s_min_uncond: Annotated[float | None, Field(ge=0), Face("NGMS")] = None
    s_churn: Annotated[float | None, Field(ge=0), Face("Sigma churn")] = None
    s_tmax: Annotated[float | None, Field(ge=0), Face("Sigma tmax")] = None
    s_tmin: Annotated[float | None, Field(ge=0), Face("Sigma tmin")] = None
    s_noise: Annotated[float | None, Field(ge=0), Face("Sigma noise")] = None
    refiner_checkpoint: Annotated[
        str | None,
        Face(
            "Refiner",
            Choice("checkpoints", ("None",)),
            infotext="Refiner",
            element="checkpoint",
            ui_default="None",
            tooltip="Another checkpoint that takes over for the last part of the way.",
        ),
    ] = None
    refiner_switch_at: Annotated[
        Fraction | None,
        Face(
            "Switch at",
            Slider(0.01, 1, 0.01),
            ui_default=0.8,
            element="switch_at",
            infotext="Refiner switch at",
            tooltip="Share of the way after which the refiner takes over: 0 at once, 1 never.",
        ),
    ] = None
    disable_extra_networks: bool = False
    comments: dict[str, str] | None = None


class Txt2ImgParams(GenerationParams):
    """A picture from text, with the second pass ("hires fix")."""

    firstpass_image: str | None = None
    enable_hr: Annotated[
        bool,
        Face(
            "Hires. fix",
            Check(),
            element="hr-checkbox",
            tooltip="Make the picture small first, then larger with more detail.",
        ),
    ] = False
    firstphase_width: Annotated[int, Field(ge=0, le=MAX_SIDE)] = 0
    firstphase_height: Annotated[int, Field(ge=0, le=MAX_SIDE)] = 0
    hr_scale: Annotated[
        float,
        Field(ge=1, le=16),
        Face(
            "Upscale by",
            Slider(1, 4, 0.05),
            infotext="Hires upscale",
            tooltip="How many times larger the second pass is.",
        ),
    ] = 2.0
    hr_upscaler: Annotated[
        str | None,
        Face(
            "Upscaler",
            Choice("hires_upscalers"),
            infotext="Hires upscaler",
            ui_default="Latent",
            tooltip="How the first pass is enlarged before the second refines it.",
        ),
    ] = None
    hr_second_pass_steps: Annotated[
        int,
        Field(ge=0, le=10000),
        Face(
            "Hires steps",
            Slider(0, 150),
            infotext="Hires steps",
            element="hires_steps",
            tooltip="Steps of the second pass; 0 takes as many as the first.",
        ),
    ] = 0
    hr_resize_x: Annotated[
        int,
        Field(ge=0, le=MAX_SIDE),
        Face(
            "Resize width to",
            Slider(0, 2048, 8),
            infotext="Hires resize-1",
            tooltip="Final width in pixels; 0 uses the factor above.",
        ),
    ] = 0
    hr_resize_y: Annotated[
        int,
        Field(ge=0, le=MAX_SIDE),
        Face(
            "Resize height to",
            Slider(0, 2048, 8),
            infotext="Hires resize-2",
            tooltip="Final height in pixels; 0 uses the factor above.",
        ),
    ] = 0
    hr_checkpoint_name: Annotated[
        str | None,
        Face(
            "Hires checkpoint",
            Choice("checkpoints", ("Use same checkpoint",)),
            element="=hr_checkpoint",
            ui_default="Use same checkpoint",
            infotext="Hires checkpoint",
            tooltip="Another checkpoint for the second pass.",
        ),
    ] = None
    hr_sampler_name: Annotated[
        str | None,
        Face(
            "Hires sampling method",
            Choice("samplers", ("Use same sampler",)),
            infotext="Hires sampler",
            element="=hr_sampler",
            ui_default="Use same sampler",
            tooltip="The sampler of the second pass.",
        ),
    ] = None
    hr_scheduler: Annotated[
        str | None,
        Face(
            "Hires schedule type",
            Choice("schedulers", ("Use same scheduler",)),
            infotext="Hires schedule type",
            element="=hr_scheduler",
            ui_default="Use same scheduler",
            tooltip="The schedule of the second pass.",
        ),
    ] = None
    hr_prompt: Annotated[
        str,
        Face(
            "Hires prompt",
            Text(2, "Empty: the prompt above"),
            infotext="Hires prompt",
            element="=hires_prompt",
            tooltip="A prompt of its own for the second pass.",
        ),
    ] = ""
    hr_negative_prompt: Annotated[
        str,
        Face(
            "Hires negative prompt",
            Text(2, "Empty: the negative prompt above"),
            infotext="Hires negative prompt",
            element="=hires_neg_prompt",
            tooltip="A negative prompt of its own for the second pass.",
        ),
    ] = ""
