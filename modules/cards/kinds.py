"""The kinds of cards, one row each: A1111's name and label, and what its users may note of a file.

A new kind of extra network is one row here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from modules.core.errors import NotFound
from modules.model_manager.library import FileKind

Widget = Literal["line", "lines", "choice", "number"]


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that the editor of a card asks; `key` is A1111's in the `.json` beside the file."""

    key: str
    label: str
    widget: Widget = "line"
    choices: tuple[str, ...] = ()
    maximum: float = 2.0
    """Of a number; the least is 0."""


@dataclass(frozen=True, slots=True)
class CardKind:
    """One tab of cards."""

    name: str
    """A1111's id: in element ids, addresses and settings."""
    label: str
    files: FileKind
    tag: str = ""
    """Start of the prompt's tag: `<lora:name:1>`; "" where the bare name goes into the prompt."""
    fields: tuple[Field, ...] = ()


_DESCRIPTION: Final = Field("description", "Description", "lines")
_NOTES: Final = Field("notes", "Notes", "lines")
_PROMPT: Final = (
    Field("activation text", "Activation text: goes into the prompt with the tag", "lines"),
    Field("negative text", "Negative text: goes into the negative prompt", "lines"),
)
_WEIGHT: Final = Field("preferred weight", "Preferred weight (0: the setting's)", "number")
_VERSION: Final = Field(
    "sd version", "Stable Diffusion version", "choice", ("Unknown", "SD1", "SD2", "SDXL", "Other")
)

KINDS: Final = (
    CardKind(
        "textual_inversion",
        "Textual Inversion",
        FileKind.EMBEDDING,
        fields=(_DESCRIPTION, _NOTES),
    ),
    CardKind(
        "hypernetworks",
        "Hypernetworks",
        FileKind.HYPERNETWORK,
        tag="hypernet",
        fields=(_DESCRIPTION, *_PROMPT, _WEIGHT, _NOTES),
    ),
    CardKind(
        "checkpoints",
        "Checkpoints",
        FileKind.CHECKPOINT,
        fields=(_DESCRIPTION, Field("vae", "Preferred VAE"), _NOTES),
    ),
    CardKind(
        "lora",
        "Lora",
        FileKind.LORA,
        tag="lora",
        fields=(_DESCRIPTION, _VERSION, *_PROMPT, _WEIGHT, _NOTES),
    ),
)
"""In the order of A1111's tabs."""


def find_card_kind(name: str) -> CardKind:
    """The row of that name. Raises NotFound."""
    for row in KINDS:
        if row.name == name:
            return row
    raise NotFound("kind of cards", name, [row.name for row in KINDS])
