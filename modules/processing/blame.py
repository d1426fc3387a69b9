"""What hooks wrote into `p` and cannot be used: the field, and the extension that wrote it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from modules.core.errors import BadInput, EaselError, NotFound

PROMPTS: Final = ("all_prompts", "all_negative_prompts", "prompts", "negative_prompts")
SEEDS: Final = ("all_seeds", "all_subseeds", "seeds", "subseeds")
LISTS: Final = (*PROMPTS, *SEEDS)
"""Attributes beside the parameters that hooks may write."""
NAMED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "sampler": ("sampler_name", "hr_sampler_name"),
    "schedule type": ("scheduler", "hr_scheduler"),
    "upscaler": ("hr_upscaler",),
    "checkpoint": ("refiner_checkpoint", "hr_checkpoint_name"),
}
"""What NotFound calls a thing, and the fields that name one."""


class Written(Protocol):
    """`p`, as far as it matters who wrote what."""

    extra_generation_params: dict[str, Any]

    def writer(self, name: str) -> str | None:
        """The extension that wrote this field last; None where no hook did."""

    def blame(self, name: str) -> str:
        """The same, in words."""


def check_lists(p: Written) -> None:
    """Raises BadInput for a list of prompts or seeds that holds something else."""
    _check(p, PROMPTS, _is_text, "a list of texts")
    _check(p, SEEDS, _is_whole, "a list of whole numbers")
    if not isinstance(p.extra_generation_params, dict):
        name = "extra_generation_params"
        by = p.blame(name)
        allowed = f"a dictionary is needed (changed by {by})"
        raise BadInput(name, p.extra_generation_params, allowed)


def blamed(p: Written, error: NotFound) -> EaselError:
    """The error with the field and the extension, where a hook wrote the unknown name."""
    for field in NAMED_BY.get(error.what, ()):
        by = p.writer(field)
        if by is not None and getattr(p, field, None) == error.name:
            return BadInput(field, error.name, f"{error} (changed by {by})")
    return error


def _check(p: Written, names: Sequence[str], fits: Callable[[Any], bool], what: str) -> None:
    for name in names:
        values = getattr(p, name)
        if not isinstance(values, list | tuple):
            raise BadInput(name, values, f"{what} is needed (changed by {p.blame(name)})")
        for value in values:
            if not fits(value):
                raise BadInput(name, value, f"{what} is needed (changed by {p.blame(name)})")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    """Of Python or numpy."""
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool)
