"""`p`: the mutable view of a request that hooks may change, and its way back to frozen data.

Attribute names are A1111's; extensions read and write them. From the model manager down, only
what `freeze()` returned is used.
"""

from __future__ import annotations

import random
from typing import Any

from modules.core.errors import BadInput
from modules.core.settings import SettingsView
from modules.params.generation import GenerationParams, Txt2ImgParams
from modules.processing.prepare import check_params

SEEDS = 2**64
"""Seeds count on from 0 behind the last one."""
RANDOM_SEEDS = 4294967294
"""Seed -1 draws below this; A1111 1.10 behaviour."""


class StableDiffusionProcessing:
    """Parameters as plain attributes, and the lists that a job fills in as it goes."""

    params_class: type[GenerationParams] = GenerationParams

    def __init__(self, params: GenerationParams, settings: SettingsView) -> None:
        for name in type(params).model_fields:
            value = getattr(params, name)
            setattr(self, name, list(value) if isinstance(value, tuple) else value)
        self.settings = settings
        self.is_hr_pass = False
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

    def freeze(self, changed_by: str = "an extension") -> GenerationParams:
        """The parameters as they are now, checked. Raises BadInput naming the bad field."""
        values = {name: getattr(self, name) for name in self.params_class.model_fields}
        try:
            return self._check(values)
        except BadInput as error:
            allowed = f"{error.allowed} (changed by {changed_by})"
            raise BadInput(error.field, error.value, allowed) from error

    def _check(self, values: dict[str, Any]) -> GenerationParams:
        raise NotImplementedError

    def fill_seeds(self, count: int) -> None:
        """Give each of `count` pictures its seed and variation seed.

        A1111 1.10 behaviour: picture i has seed + i, unless a variation is mixed in; then all
        share the seed and the variation seed counts.
        """
        seed, subseed = fixed_seed(self.seed), fixed_seed(self.subseed)
        self.seed, self.subseed = seed, subseed
        has_variation = self.subseed_strength != 0
        self.all_seeds = [(seed + (0 if has_variation else i)) % SEEDS for i in range(count)]
        self.all_subseeds = [(subseed + i) % SEEDS for i in range(count)]

    seed: int
    subseed: int
    subseed_strength: float


class StableDiffusionProcessingTxt2Img(StableDiffusionProcessing):
    """`p` of a txt2img job."""

    params_class = Txt2ImgParams

    def _check(self, values: dict[str, Any]) -> Txt2ImgParams:
        return check_params(values)

    def freeze(self, changed_by: str = "an extension") -> Txt2ImgParams:
        """The parameters as they are now, checked. Raises BadInput naming the bad field."""
        frozen = super().freeze(changed_by)
        assert isinstance(frozen, Txt2ImgParams)
        return frozen


def fixed_seed(seed: int | None) -> int:
    """The seed itself, or a random one for -1 and None."""
    return random.randrange(RANDOM_SEEDS) if seed is None or seed == -1 else int(seed)
