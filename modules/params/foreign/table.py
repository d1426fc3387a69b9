"""The programs whose pictures can be read: for each, how to know them and how to read them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from modules.params.foreign import comfyui, easydiffusion, fooocus, invokeai, novelai, swarmui
from modules.params.foreign.found import Foreign, Texts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Program:
    """One program. `read` never raises, and gives None for metadata that are broken."""

    name: str
    detect: Callable[[Texts], bool]
    read: Callable[[Texts, tuple[int, int]], Foreign | None]
    """From the texts and the (width, height) of the picture in pixels."""


PROGRAMS = (
    Program(swarmui.NAME, swarmui.detect, swarmui.read),
    Program(fooocus.NAME, fooocus.detect, fooocus.read),
    Program(invokeai.NAME, invokeai.detect, invokeai.read),
    Program(novelai.NAME, novelai.detect, novelai.read),
    Program(easydiffusion.NAME, easydiffusion.detect, easydiffusion.read),
    Program(comfyui.NAME, comfyui.detect, comfyui.read),
)
"""In the order in which they are asked: SwarmUI's pictures hold ComfyUI's graph too."""


def read_foreign(texts: Texts, size: tuple[int, int]) -> Foreign | None:
    """What the first program that knows these texts makes of them; None if none does."""
    for program in PROGRAMS:
        if program.detect(texts) and (found := program.read(texts, size)) is not None:
            return found
    return None
