"""Lines of prompts and options → what each changes in the parameters.

    a blue fox
    --prompt "a wolf" --steps 5 --seed 9 --cfg_scale 4

A line that begins with two dashes holds options, any other is a prompt. Option names are those of
the parameters, and A1111 1.10's.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modules.core.errors import BadInput, NotFound
from modules.sampling.table import SAMPLERS

FIELD = "List of prompt inputs"
MOST_LINES = 10_000

TEXTS = ("prompt", "negative_prompt", "prompt_for_display")
"""Options whose value reaches to the next option."""
PICTURES = ("init_images", "mask", "latent_mask", "firstpass_image", "comments")
"""Parameters that no line can give."""
SETTINGS = {
    "sd_model": "sd_model_checkpoint",
    "outpath_samples": "outdir_samples",
    "outpath_grids": "outdir_grids",
}
"""Options that are settings here."""
WITHOUT_EFFECT = ("prompt_for_display",)


@dataclass(frozen=True, slots=True)
class PromptLine:
    """What one line says."""

    number: int
    """From 1, blank lines counted."""
    values: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def refuse(self, value: object, reason: str) -> BadInput:
        """The error that names the line."""
        return BadInput(f"line {self.number}", value, reason)


def read_lines(text: str, parameters: Sequence[str]) -> list[PromptLine]:
    """The lines that are not blank.

    parameters: names of those that a line may change. Raises BadInput naming the line.

    >>> lines = read_lines("a fox\\n\\n--prompt a wolf --steps 5", ["steps"])
    >>> [(line.number, dict(line.values)) for line in lines]
    [(1, {'prompt': 'a fox'}), (3, {'prompt': 'a wolf', 'steps': '5'})]
    """
    lines = text.splitlines()
    if len(lines) > MOST_LINES:
        raise BadInput(FIELD, f"{len(lines)} lines", f"at most {MOST_LINES} can be given")
    read = [
        _read(PromptLine(number), line.strip(), parameters)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not read:
        raise BadInput(FIELD, text, "at least one line with a prompt is needed")
    return read


def _read(line: PromptLine, text: str, parameters: Sequence[str]) -> PromptLine:
    if not text.startswith("--"):
        return PromptLine(line.number, {"prompt": text})
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise line.refuse(text, f"it cannot be read: {str(error).lower()}") from None
    values: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for name, value in _options(line, words):
        if name in SETTINGS:
            settings[SETTINGS[name]] = value
        elif name == "sampler_index":
            values["sampler_name"] = _sampler(line, value)
        elif name == "styles":
            values[name] = [style.strip() for style in value.split(",") if style.strip()]
        elif name in TEXTS or (name in parameters and name not in PICTURES):
            values[name] = value
        else:
            allowed = sorted({*parameters, *TEXTS, *SETTINGS, "sampler_index"} - {*PICTURES})
            raise line.refuse(f"--{name}", f"known options: {', '.join(allowed)}")
    shown = {name: value for name, value in values.items() if name not in WITHOUT_EFFECT}
    return PromptLine(line.number, shown, settings)


def _options(line: PromptLine, words: Sequence[str]) -> list[tuple[str, str]]:
    """(name, value) of each option; several words are joined where texts are allowed."""
    options: list[tuple[str, list[str]]] = []
    for word in words:
        if match := re.fullmatch(r"--([A-Za-z_]\w*)", word):
            options.append((match[1], []))
        elif not options:
            raise line.refuse(word, "an option such as --prompt is expected")
        else:
            options[-1][1].append(word)
    for name, parts in options:
        if not parts:
            raise line.refuse(f"--{name}", "a value is expected behind it")
        if len(parts) > 1 and name not in TEXTS:
            raise line.refuse(" ".join(parts), f"--{name} takes one value; quote it if need be")
    return [(name, " ".join(parts)) for name, parts in options]


def _sampler(line: PromptLine, given: str) -> str:
    """A sampler by its place in the list, or by name."""
    if not given.isascii() or not given.isdigit():
        return given
    if len(given) > 4 or int(given) >= len(SAMPLERS):
        raise line.refuse(given, f"samplers are counted from 0 to {len(SAMPLERS) - 1}")
    return SAMPLERS[int(given)].name


def apply_line(p: Any, line: PromptLine, position: str) -> None:
    """Put what a line says into `p`; prompts go before or behind those that are there.

    position: "start" or "end". Raises BadInput naming the line.
    """
    for name, value in line.values.items():
        own = getattr(p, name)
        if name in ("prompt", "negative_prompt") and own:
            value = f"{value} {own}" if position == "start" else f"{own} {value}"
        setattr(p, name, value)
    p.override_settings = {**p.override_settings, **line.settings}
    _check(p, line)


def _check(p: Any, line: PromptLine) -> None:
    """Try the parameters; those of a line become their own types."""
    try:
        params = p.freeze()
        p.job.settings.with_overrides(line.settings)
        if "sd_model_checkpoint" in line.settings:
            p.job.models.catalogue.find(line.settings["sd_model_checkpoint"])
        for style in line.values.get("styles", ()):
            if p.job.styles is None:
                raise NotFound("style", style, ())
            p.job.styles.get(style)
    except BadInput as error:
        inner = error.__cause__ if isinstance(error.__cause__, BadInput) else error
        raise line.refuse(f"{inner.field} {inner.value}", inner.allowed) from error
    except NotFound as error:
        raise line.refuse(error.name, str(error).rstrip(".?")) from error
    for name in line.values:
        value = getattr(params, name)
        setattr(p, name, list(value) if isinstance(value, tuple) else value)
