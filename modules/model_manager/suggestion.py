"""What suits a distilled model: few steps and hardly any guidance. Loads no torch.

Turbo, Lightning, Hyper and LCM models have the same networks as those they come from, so here,
and only here, names and metadata count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Values that a form may offer."""

    kind: str
    """"Turbo", "Lightning", …"""
    steps: int
    cfg_scale: float
    sampler_name: str
    scheduler: str

    @property
    def words(self) -> str:
        """One sentence for the page."""
        return (
            f"This seems to be a {self.kind} model: {self.steps} steps and CFG scale "
            f"{self.cfg_scale:g} with {self.sampler_name} ({self.scheduler}) suit it."
        )


_KINDS: Final[tuple[tuple[str, Suggestion], ...]] = (
    # Sauer et al., "Adversarial diffusion distillation", 2023
    ("turbo", Suggestion("Turbo", 4, 1.0, "Euler a", "Automatic")),
    # Lin, Wang, Yang, "SDXL-Lightning", 2024
    ("lightning", Suggestion("Lightning", 4, 1.0, "Euler", "SGM Uniform")),
    # Ren et al., "Hyper-SD", 2024
    ("hyper", Suggestion("Hyper", 8, 1.0, "Euler", "SGM Uniform")),
    # Luo et al., "Latent consistency models", 2023
    ("lcm", Suggestion("LCM", 6, 1.5, "LCM", "Automatic")),
)
_METADATA: Final = ("modelspec.title", "modelspec.architecture", "modelspec.description")


def suggest(name: str, metadata: Mapping[str, str]) -> Suggestion | None:
    """What suits the model of that file name; None for one that is not distilled.

    >>> suggest("sd_xl_turbo_1.0_fp16", {}).steps
    4
    >>> suggest("hyperrealism", {}) is None
    True
    """
    texts = [name, *(metadata.get(key, "") for key in _METADATA)]
    words = {word for text in texts for word in re.findall(r"[a-z]+", text.lower())}
    for mark, suggestion in _KINDS:
        if mark in words or f"xl{mark}" in words or f"sd{mark}" in words:
            return suggestion
    return None
