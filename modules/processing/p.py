"""`p`: the mutable view of a request that hooks may change, and its way back to frozen data.

Attribute names are A1111's; extensions read and write them. From the model manager down, only
what `freeze()` returned is used.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from modules.core.errors import BadInput, EaselError, NotFound
from modules.core.settings import SettingsView
from modules.params.generation import GenerationParams, Txt2ImgParams
from modules.params.img2img import Img2ImgParams
from modules.params.request import Params
from modules.postprocess import Upscalers
from modules.processing.blame import LISTS, blamed, check_lists
from modules.processing.canvas import Canvas
from modules.processing.pictures import Sources, read_sources
from modules.processing.prepare import check_img2img, check_params
from modules.processing.script_job import ScriptJob

if TYPE_CHECKING:
    from torch import Tensor

    from modules.processing.stage import Batch, Stage

StartNoise = Callable[["Stage", "Batch", "Tensor", "Tensor"], "Tensor | None"]
"""(stage, batch, latent (B, C, h, w), noise (B, C, h, w) of the seeds) → the noise to start with.

None where it was stopped before. A run starts at latent + noise · its first sigma.
"""
SEEDS = 2**64
"""Seeds count on from 0 behind the last one."""
RANDOM_SEEDS = 4294967294
"""Seed -1 draws below this; A1111 1.10 behaviour."""


LISTABLE = ("prompt", "negative_prompt", "seed", "subseed")
"""Parameters of which a script may give one for each picture; the first stands for all."""


class StableDiffusionProcessing:
    """Parameters as plain attributes, and the lists that a job fills in as it goes."""

    params_class: type[GenerationParams] = GenerationParams
    upscalers: Upscalers | None = None
    """Those of the running program, once a job has `p`; None: those without files."""

    def __init__(self, params: GenerationParams, settings: SettingsView) -> None:
        for name in type(params).model_fields:
            value = getattr(params, name)
            setattr(self, name, list(value) if isinstance(value, tuple) else value)
        self.settings = settings
        self.override_settings: dict[str, Any] = {}
        """Settings that a script wants for its next call of `job.process`."""
        self.is_hr_pass = False
        self.is_using_inpainting_conditioning = False
        self.is_edit = False
        """Whether the model is instruct-pix2pix."""
        self.iteration = 0
        self.extra_generation_params: dict[str, Any] = {}
        self.all_prompts: list[str] = []
        self.all_negative_prompts: list[str] = []
        self.all_seeds: list[int] = []
        self.all_subseeds: list[int] = []
        self.prompts: list[str] = []
        self.negative_prompts: list[str] = []
        self.seeds: list[int] = []
        self.subseeds: list[int] = []
        self.draws = random.Random()
        """What seeds of -1 are drawn from; copies of `p` share it."""
        self._writers: dict[str, str] = {}
        self._seen: dict[str, Any] = {}
        self._job: ScriptJob | None = None

    def watch(self) -> None:
        """Before a hook is called: what is written from now on, `note_writer` will notice."""
        self._seen = self._values()

    def note_writer(self, owner: str) -> None:
        """Remember that `owner`, an extension, wrote what differs from the last look."""
        now = self._values()
        self._writers |= {name: owner for name in now if _differ(now[name], self._seen.get(name))}
        self._seen = now

    def blame(self, name: str) -> str:
        """Who wrote this field last: an extension's name, or a word for what nobody noted."""
        return self._writers.get(name, "an extension")

    def writer(self, name: str) -> str | None:
        """The extension that wrote this field last; None where no hook did."""
        return self._writers.get(name)

    def _values(self) -> dict[str, Any]:
        """Every field and list that hooks may write; lists and dictionaries copied."""
        names = (*self.params_class.model_fields, *LISTS, "extra_generation_params")
        values = {name: getattr(self, name, None) for name in names}
        return {name: copy.copy(v) if isinstance(v, list | dict) else v
                for name, v in values.items()}  # fmt: skip

    def freeze(self) -> GenerationParams:
        """The parameters as they are now, checked.

        Raises BadInput naming the bad field and the extension that wrote it, and NotFound.
        """
        values = {name: getattr(self, name) for name in self.params_class.model_fields}
        values |= {name: first_of(values[name]) for name in LISTABLE}
        check_lists(self)
        try:
            return self._check(values)
        except BadInput as error:
            allowed = f"{error.allowed} (changed by {self.blame(error.field.split('.')[0])})"
            raise BadInput(error.field, error.value, allowed) from error
        except NotFound as error:
            raise blamed(self, error) from error

    def _check(self, values: dict[str, Any]) -> GenerationParams:
        raise NotImplementedError

    def fill_seeds(self, count: int) -> None:
        """Give each of `count` pictures its seed and variation seed.

        A1111 1.10 behaviour: picture i has seed + i, unless a variation is mixed in; then all
        share the seed and the variation seed counts. A script's list is taken as it is.
        """
        steps = 0 if self.subseed_strength != 0 else 1
        self.seed, self.all_seeds = self._counted("seed", self.seed, count, steps)
        self.subseed, self.all_subseeds = self._counted("subseed", self.subseed, count, 1)

    def take_batch(self, number: int, size: int) -> None:
        """Put a batch's prompts and seeds into its lists. Raises BadInput where there are none."""
        mine = slice(number * size, (number + 1) * size)
        self.prompts = self.all_prompts[mine]
        self.negative_prompts = self.all_negative_prompts[mine]
        self.seeds, self.subseeds = self.all_seeds[mine], self.all_subseeds[mine]
        counts = {len(self.prompts), len(self.seeds), len(self.negative_prompts)}
        if len(counts) > 1 or 0 in counts:
            by = self.blame("all_prompts")
            allowed = f"one prompt and seed for each picture (changed by {by})"
            raise BadInput("all_prompts", len(self.all_prompts), allowed)

    def fixed_seed(self, seed: int | None) -> int:
        """The seed itself, or one drawn for -1 and None: the same ones if the job is run again."""
        return fixed_seed(seed, self.draws)

    def _counted(
        self, name: str, given: int | list[int], count: int, step: int
    ) -> tuple[int | list[int], list[int]]:
        """What the parameter becomes, and the seed of each of `count` pictures."""
        if not isinstance(given, list):
            seed = self.fixed_seed(given)
            return seed, [next_seed(seed, i * step) for i in range(count)]
        if len(given) < count:
            allowed = f"one for each of {count} pictures is needed"
            raise BadInput(name, f"{len(given)} values", allowed)
        seeds = [self.fixed_seed(value) for value in given]
        return seeds, seeds[:count]

    @property
    def job(self) -> ScriptJob:
        """What a script may ask of its job. Raises EaselError outside a script."""
        if self._job is None:
            raise EaselError("Pictures can be made through p only while a script runs.")
        return self._job

    @job.setter
    def job(self, job: ScriptJob) -> None:
        self._job = job

    prompt: str | list[str]
    """Scripts may give a list with a value for each picture: these four, see `LISTABLE`."""
    negative_prompt: str | list[str]
    seed: int | list[int]
    subseed: int | list[int]
    subseed_strength: float
    width: int
    height: int
    styles: list[str]
    do_not_save_samples: bool
    do_not_save_grid: bool


class StableDiffusionProcessingTxt2Img(StableDiffusionProcessing):
    """`p` of a txt2img job."""

    params_class = Txt2ImgParams

    def _check(self, values: dict[str, Any]) -> Txt2ImgParams:
        return check_params(values, self.upscalers)

    def freeze(self) -> Txt2ImgParams:
        """The parameters as they are now, checked; see above."""
        frozen = super().freeze()
        assert isinstance(frozen, Txt2ImgParams)
        return frozen


class StableDiffusionProcessingImg2Img(StableDiffusionProcessing):
    """`p` of an img2img job. Pictures are PIL's here; `sources()` gives them back checked."""

    params_class = Img2ImgParams

    def __init__(self, params: Img2ImgParams, settings: SettingsView) -> None:
        super().__init__(params, settings)
        sources = read_sources(params)
        self._given = params
        self.init_images: list[Any] = list(sources.images)
        self.image_mask: Any = sources.mask
        self.latent_mask: Any = sources.latent_mask
        self.mask: Any = None
        """In a batch, (B, 1, h, w): 1 where the latent is kept; `nmask` is the opposite."""
        self.nmask: Any = None
        self.init_latent: Any = None
        self.init_img_hash: str | None = None
        self.overlay_images: list[Any] = []
        self.mask_for_overlay: Any = None
        self.paste_to: tuple[int, int, int, int] | None = None
        """(left, top, width, height) of the painted part in the first picture, or None."""
        self.encode_seeds: Sequence[int] | None = None
        """By what the VAE's sample of each picture is drawn; None: by the pictures' own seeds."""
        self.start_noise: StartNoise | None = None
        """Makes the noise that a batch starts with; None: its seeds do."""

    @property
    def mask_blur(self) -> int | None:
        """The blur of both axes, None where they differ."""
        return self.mask_blur_x if self.mask_blur_x == self.mask_blur_y else None

    @mask_blur.setter
    def mask_blur(self, value: int | None) -> None:
        if value is not None:
            self.mask_blur_x = self.mask_blur_y = value

    def sources(self) -> Sources:
        """The pictures as they are now. Raises BadInput for what is no picture."""
        images = tuple(self.init_images or ())
        named = [("init_images", image) for image in images]
        named += [("image_mask", self.image_mask), ("latent_mask", self.latent_mask)]
        for name, value in named:
            if not isinstance(value, Image.Image) and (value is not None or name == "init_images"):
                allowed = f"a PIL picture is needed (changed by {self.blame(name)})"
                raise BadInput(name, type(value), allowed)
        if len(images) not in (1, self.batch_size):
            allowed = f"one picture, or as many as batch_size ({self.batch_size}), are needed"
            by = self.blame("init_images")
            raise BadInput("init_images", len(images), f"{allowed} (changed by {by})")
        return Sources(images, self.image_mask, self.latent_mask)

    def show(self, canvases: tuple[Canvas, ...]) -> None:
        """Let hooks see what a batch is painted on."""
        first = canvases[0]
        self.overlay_images = [canvas.overlay for canvas in canvases if canvas.overlay]
        self.mask_for_overlay = first.overlay_mask
        place = first.place
        self.paste_to = (place.left, place.top, place.width, place.height) if place else None

    def show_latents(self, init: Any, paint: Any) -> None:
        """Let hooks see a batch's latents; paint: 1 where they may change, None without a mask."""
        self.init_latent, self.nmask = init, paint
        self.mask = None if paint is None else 1 - paint

    def _check(self, values: dict[str, Any]) -> Img2ImgParams:
        # `sources` has the pictures as they are now; of fewer than were given, so many are checked.
        images = (self._given.init_images or ())[: len(self.init_images or ())]
        pictures = {"init_images": images, "mask": self._given.mask}
        return check_img2img(values | pictures | {"latent_mask": self._given.latent_mask})

    def freeze(self) -> Img2ImgParams:
        """The parameters as they are now, checked; see above."""
        frozen = super().freeze()
        assert isinstance(frozen, Img2ImgParams)
        return frozen

    batch_size: int
    mask_blur_x: int
    mask_blur_y: int


Processing = StableDiffusionProcessingTxt2Img | StableDiffusionProcessingImg2Img


def make_p(params: Params, settings: SettingsView) -> Processing:
    """The mutable view of a request. Raises BadInput for pictures that cannot be used."""
    if isinstance(params, Img2ImgParams):
        return StableDiffusionProcessingImg2Img(params, settings)
    return StableDiffusionProcessingTxt2Img(params, settings)


def _differ(one: object, other: object) -> bool:
    """Whether two values differ; those that cannot be compared (arrays) do unless identical."""
    if one is other:
        return False
    try:
        return bool(one != other)
    except (TypeError, ValueError, RuntimeError):
        return True


def first_of(value: Any) -> Any:
    """A list's first entry; anything else as it is, and so an empty list."""
    return value[0] if isinstance(value, list) and value else value


def next_seed(seed: int, step: int = 1) -> int:
    """The seed `step` further on; behind the last one comes 0."""
    return (int(seed) + step) % SEEDS


def fixed_seed(seed: int | None, draws: random.Random) -> int:
    """The seed itself, or one drawn for -1 and None."""
    return draws.randrange(RANDOM_SEEDS) if seed is None or seed == -1 else int(seed)
