"""Names that an axis takes: as people type them → as the tables have them; what menus offer.

Also: when an axis changes nothing, and the sentence that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from easel_plots.apply import style_names
from modules.core.errors import NotFound
from modules.model_manager import ModelChoice
from modules.params.img2img import Img2ImgParams
from modules.processing.prepare import (
    HIRES_UPSCALERS,
    find_names,
    hires_upscaler,
    style_texts,
)
from modules.sampling.table import SAMPLERS, SCHEDULERS

Resolve = Callable[[Any, str], str]
"""(p, name) → the known name; raises NotFound."""
Idle = Callable[[Any], str]
"""p → why the axis changes nothing; empty where it does."""

AUTOMATIC_VAE, NO_VAE = "Automatic", "None"
NO_REFINER = "None"


def sampler(p: Any, name: str) -> str:
    """A sampler; a name from before A1111 1.6, which holds the schedule too, stays as it is."""
    known, schedule_of_name = find_names(name, None)
    return known if schedule_of_name == "Automatic" else name


def schedule(p: Any, name: str) -> str:
    """A schedule type, by name or label."""
    return find_names(SAMPLERS[0].name, name)[1]


def upscaler(p: Any, name: str) -> str:
    """An upscaler of hires fix."""
    return hires_upscaler(name, p.job.models.upscalers)


def checkpoint(p: Any, name: str) -> str:
    """A checkpoint's title."""
    return str(p.job.models.catalogue.find(name).title)


def optional_checkpoint(p: Any, name: str) -> str:
    """A checkpoint's title, or None for no refiner."""
    return NO_REFINER if name.lower() == "none" else checkpoint(p, name)


def vae(p: Any, name: str) -> str:
    """A VAE, as the setting sd_vae names it."""
    for word in (AUTOMATIC_VAE, NO_VAE):
        if name.lower() == word.lower():
            return word
    own = p.job.settings["sd_model_checkpoint"] or None
    p.job.models.resolve(ModelChoice(checkpoint=own, vae=name))
    return name


def styles(p: Any, names: str) -> str:
    """Styles with commas between them; empty for none."""
    given = style_names(names)
    if p.job.styles is None and given:
        raise NotFound("style", names, ())
    style_texts(given, p.job.styles)
    return ", ".join(given)


def one_of(what: str, known: Sequence[str]) -> Resolve:
    """One of these names, in any case."""

    def resolve(p: Any, name: str) -> str:
        for row in known:
            if row.lower() == name.lower():
                return row
        raise NotFound(what, name, known)

    return resolve


STATIC_MENUS: dict[str, tuple[str, ...]] = {
    "samplers": tuple(row.name for row in SAMPLERS),
    "schedulers": tuple(row.label for row in SCHEDULERS),
}
"""What menus offer that depends on no file."""
FIRST_OF_MENU = {
    "vaes": (AUTOMATIC_VAE, NO_VAE),
    "refiners": (NO_REFINER,),
    "hires_upscalers": HIRES_UPSCALERS,
}
"""What stands before the files' names."""
FILES_OF_MENU = {"refiners": "checkpoints"}
"""Menus whose files another one lists."""


def menu(choices: str | tuple[str, ...] | None, files: Callable[[str], Sequence[str]]) -> list[str]:
    """The names that an axis offers; `files` lists those that depend on the folders."""
    if choices is None:
        return []
    if isinstance(choices, tuple):
        return list(choices)
    if choices in STATIC_MENUS:
        return list(STATIC_MENUS[choices])
    own = files(FILES_OF_MENU.get(choices, choices))
    return list(dict.fromkeys((*FIRST_OF_MENU.get(choices, ()), *own)))


def is_known_menu(choices: str | tuple[str, ...] | None) -> bool:
    """Whether what the menu offers depends on no file."""
    return isinstance(choices, tuple) or choices in STATIC_MENUS


def is_img2img(p: Any) -> bool:
    """Whether `p` starts from a picture."""
    return bool(p.params_class is Img2ImgParams)


def without_hires(p: Any) -> str:
    """Axes of the second pass need one."""
    return "" if getattr(p, "enable_hr", False) else "Hires. fix is off"


def in_txt2img(p: Any) -> str:
    """Axes of img2img."""
    return "" if is_img2img(p) else "it is for img2img"


def without_second_look(p: Any) -> str:
    """Axes of img2img and the second pass."""
    return "" if is_img2img(p) else without_hires(p)


def without_refiner(p: Any) -> str:
    """Where the refiner takes over matters with one only."""
    return "" if p.refiner_checkpoint not in (None, "", NO_REFINER) else "there is no refiner"
