"""What a reader of another program's metadata finds, and the careful reading of JSON for it.

A file may hold anything: nothing here raises for a value of the wrong kind.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from modules.params import infotext_text

Json = dict[str, Any]
Texts = Mapping[str, str]
"""The texts of a file by key; the one that should be an infotext is called "parameters"."""

MAX_CHARACTERS: Final = 16 * 1024 * 1024
MAX_PROMPT: Final = 100_000
"""Characters of a prompt that are kept."""

ORDER: Final = (
    "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model hash", "Model",
    "VAE hash", "VAE", "Variation seed", "Variation seed strength", "Seed resize from",
    "Denoising strength", "Clip skip", "ENSD", "Token merging ratio", "RNG", "Tiling",
)  # fmt: skip
"""A1111's order; what is not in it follows as it came."""


@dataclass(slots=True)
class Foreign:
    """One picture's parameters in infotext names, and what has no place there."""

    program: str
    prompt: str = ""
    negative_prompt: str = ""
    pairs: dict[str, Any] = field(default_factory=dict)
    """By infotext name; a value of None is as good as absent."""
    not_mapped: list[str] = field(default_factory=list)
    """What was said and could not be taken over, in words for the user."""

    @property
    def infotext(self) -> str:
        """The infotext that makes about the same picture here."""
        ordered = {name: self.pairs.get(name) for name in ORDER} | self.pairs
        ordered["Version"] = self.program
        prompt, negative = (_one_prompt(t) for t in (self.prompt, self.negative_prompt))
        return infotext_text.write(prompt, negative, ordered)

    def miss(self, what: str) -> None:
        """Note something that is not taken over; once is enough."""
        if what and what not in self.not_mapped:
            self.not_mapped.append(what)

    def miss_keys(self, said: Mapping[str, Any], used: frozenset[str]) -> None:
        """Note the keys of `said` that say something and are not `used`."""
        for key, value in said.items():
            if key not in used and value not in (None, "", False, 0, "0", "None", [], {}):
                self.miss(key)


def load_object(text: str | None) -> Json | None:
    """The JSON object in `text`; None if it holds none, or one too deep or too large.

    >>> load_object('{"a": NaN, "b": 1}'), load_object("[1]"), load_object("{" * 5)
    ({'a': None, 'b': 1}, None, None)
    """
    if not text or len(text) > MAX_CHARACTERS or not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def as_object(value: Any) -> Json:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """`value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """A text that every file can hold; "" for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = str(value)[:MAX_PROMPT].replace("\x00", "")
    return text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n").strip()


def as_number(value: Any) -> int | float | None:
    """A finite number, also out of a text; whole where it is whole.

    >>> as_number("7.50"), as_number(3.0), as_number(True), as_number("x"), as_number(2**70)
    (7.5, 3, None, None, 1180591620717411303424)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = value.strip()
        if len(value) > 40:
            return None
        try:
            return int(value)
        except ValueError:
            pass
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, int):
        return value if abs(value) < 10**40 else None
    if not isinstance(value, float) or not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def as_whole(value: Any) -> int | None:
    """A whole number, or None."""
    number = as_number(value)
    return number if isinstance(number, int) else None


def size_text(width: Any, height: Any) -> str | None:
    """ "WxH", or None where the sides are no sizes."""
    sides = as_whole(width), as_whole(height)
    if any(side is None or side < 1 or side > 10**6 for side in sides):
        return None
    return f"{sides[0]}x{sides[1]}"


def stem(value: Any) -> str:
    r"""A file's name without folders and ending.

    >>> stem("SDXL\\base 1.0.safetensors"), stem("v1.5-pruned"), stem(None)
    ('base 1.0', 'v1.5-pruned', '')
    """
    name = PurePosixPath(as_text(value).replace("\\", "/")).name
    known = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".sft", ".gguf", ".onnx")
    ending = next((one for one in known if name.lower().endswith(one)), "")
    return name.removesuffix(name[len(name) - len(ending) :]) if ending else name


def lora_tag(name: Any, model_weight: Any, text_weight: Any = None) -> str:
    """The prompt's tag for a LoRA; "" without a name or with no weight at all.

    >>> lora_tag("a/b.safetensors", 0.5), lora_tag("b", 1, 0.25), lora_tag("b", 0)
    ('<lora:b:0.5>', '<lora:b:0.25:1>', '')
    """
    unet = as_number(model_weight)
    unet = 1 if unet is None else unet
    text = as_number(text_weight)
    text = unet if text is None else text
    name = stem(name).translate(str.maketrans("", "", "<>:"))
    if not name or name == "None" or (unet == 0 and text == 0):
        return ""
    return f"<lora:{name}:{unet}>" if text == unet else f"<lora:{name}:{text}:{unet}>"


def with_tags(prompt: str, tags: list[str]) -> str:
    """The prompt with the tags after it."""
    return " ".join(filter(None, [prompt, *dict.fromkeys(tags)]))


def _one_prompt(text: str) -> str:
    """A prompt that `infotext_text.parse` reads back: it must not look like what follows it."""
    lines = (line.strip() for line in as_text(text).split("\n"))
    prefix = infotext_text.NEGATIVE_PREFIX
    return "\n".join(line.removeprefix(prefix).strip() for line in lines)
