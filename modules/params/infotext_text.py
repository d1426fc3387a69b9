r"""Infotext as text: prompt, negative prompt and "key: value" pairs <-> the text in a picture.

Knows the text form, its defaults, and what older versions meant. Must not know which parameter
a key stands for (that is the parameters' own table) nor where the text is stored.

    {prompt}\nNegative prompt: {negative prompt}\n{key: value, key: value}
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from modules.prompt.attention import uses_emphasis

Value: TypeAlias = str | int | float | bool
Fields: TypeAlias = dict[str, Value]
# (major, minor, patch, commits since that tag)
Version: TypeAlias = tuple[int, int, int, int]
T = TypeVar("T")

NEGATIVE_PREFIX = "Negative prompt:"
# A last line with fewer pairs belongs to the prompt.
MIN_PAIRS = 3

# The second branch steps over a word run that no ":" follows, so that it is looked at once.
_PAIR = re.compile(r'(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)|\w[\w \-/]*')
_SIZE = re.compile(r"(\d+)x(\d+)")
_VERSION = re.compile(r"v(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:-(\d{1,6}))?")
_QUOTED_CHARACTERS = frozenset(",:\n")

# What a field is when the text does not say it (A1111 1.10 behaviour).
DEFAULTS: Mapping[str, Value] = {
    "Clip skip": "1",
    "Hires resize-1": 0,
    "Hires resize-2": 0,
    "Hires sampler": "Use same sampler",
    "Hires schedule type": "Use same scheduler",
    "Hires checkpoint": "Use same checkpoint",
    "Hires prompt": "",
    "Hires negative prompt": "",
    "Mask mode": "Inpaint masked",
    "Masked content": "original",
    "Inpaint area": "Whole picture",
    "Masked area padding": 32,
    "RNG": "GPU",
    "Schedule type": "Automatic",
    "Schedule max sigma": 0,
    "Schedule min sigma": 0,
    "Schedule rho": 0,
    "VAE Encoder": "Full",
    "VAE Decoder": "Full",
    "FP8 weight": "Disable",
    "Refiner switch by sampling steps": False,
}


@dataclass(frozen=True, slots=True)
class OldMeaning:
    """Pictures made before a version need `key` set to get the same picture today."""

    before: Version
    key: str
    applies: Callable[[Fields], bool]


OLD_MEANINGS: tuple[OldMeaning, ...] = (
    OldMeaning(
        (1, 6, 0, 0),
        "Old prompt editing timelines",
        lambda fields: any("[" in str(fields[key]) for key in ("Prompt", "Negative prompt")),
    ),
    OldMeaning(
        (1, 6, 0, 0), "Pad conds v0", lambda fields: fields.get("Sampler") in ("DDIM", "PLMS")
    ),
    OldMeaning((1, 7, 0, 225), "Downcast alphas_cumprod", lambda _: True),
    OldMeaning((1, 8, 0, 0), "Refiner switch by sampling steps", lambda f: "Refiner" in f),
)


def parse(text: str, *, fill_defaults: bool = True, has_backcompat: bool = True) -> Fields:
    r"""Read an infotext; never raises.

    "Prompt" and "Negative prompt" are always there. Values that stand in the text are strings,
    and "WxH" becomes "key-1" and "key-2". `fill_defaults` adds DEFAULTS, in their own types, and
    the emphasis mode of prompts that use it. `has_backcompat` (setting auto_backcompat) adds what
    an older Version implies. Styles stay in the prompts: `StyleDatabase.extract` finds them.

    >>> fields = parse("a (cat)\nNegative prompt: dog\nSteps: 20, Size: 64x96, Version: v1.6.0")
    >>> fields["Prompt"], fields["Negative prompt"], fields["Size-2"], fields["Emphasis"]
    ('a (cat)', 'dog', '96', 'Original')
    >>> fields["Downcast alphas_cumprod"], fields["RNG"]
    (True, 'GPU')
    >>> parse("a: b, no parameters")["Prompt"]
    'a: b, no parameters'
    """
    lines = text.strip().split("\n")
    pairs = _pairs(lines[-1])
    if len(pairs) < MIN_PAIRS:
        pairs = []
    else:
        lines.pop()
    fields = _fields(pairs)
    fields["Prompt"], fields["Negative prompt"] = _prompts(lines)
    _move_hypernetwork(fields)
    if fill_defaults:
        fill(fields)
    if has_backcompat:
        _add_old_meanings(fields)
    return fields


def write(prompt: str, negative_prompt: str, pairs: Mapping[str, object]) -> str:
    r"""Write an infotext; the inverse of `parse`.

    Pairs keep their order; one whose value is None is left out, and one whose value equals its
    key is written as the key alone (A1111 1.10 behaviour).

    >>> write("cat", "", {"Steps": 20, "VAE": None, "Hires prompt": "a, b"})
    'cat\nSteps: 20, Hires prompt: "a, b"'
    """
    written = {key: value for key, value in pairs.items() if value is not None}
    line = ", ".join(
        key if value == key else f"{key}: {quote(value)}" for key, value in written.items()
    )
    negative = f"{NEGATIVE_PREFIX} {negative_prompt}" if negative_prompt else ""
    return "\n".join([prompt, *filter(None, (negative, line))])


def quote(value: T) -> T | str:
    r"""Quote a value that the pair syntax would break; any other comes back as it is.

    A value that starts with a quote is quoted too: `parse` would take the quote off.

    >>> quote("a, b"), quote('say "a"'), quote(1.5)
    ('"a, b"', 'say "a"', 1.5)
    """
    text = str(value)
    if _QUOTED_CHARACTERS.isdisjoint(text) and not text.startswith('"'):
        return value
    return json.dumps(text, ensure_ascii=False)


def unquote(text: str) -> str:
    r"""Undo `quote`; text that is not quoted, or not properly, comes back as it is.

    >>> unquote('"a, \\"b\\""'), unquote("a"), unquote('"a')
    ('a, "b"', 'a', '"a')
    """
    if len(text) < 2 or not (text[0] == text[-1] == '"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text


def parse_version(text: str) -> Version | None:
    """Read A1111's version; None for any other program's.

    >>> parse_version("v1.7.0-225-gabcdef0"), parse_version("1.6")
    ((1, 7, 0, 225), None)
    """
    match = _VERSION.match(text)
    if not match:
        return None
    major, minor, patch, commits = (int(number or 0) for number in match.groups())
    return major, minor, patch, commits


def _pairs(line: str) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in _PAIR.finditer(line) if match[1]]


def _fields(pairs: Iterable[tuple[str, str]]) -> Fields:
    fields: Fields = {}
    for key, raw in pairs:
        value = unquote(raw)
        if size := _SIZE.fullmatch(value):
            fields[f"{key}-1"], fields[f"{key}-2"] = size.groups()
        else:
            fields[key] = value
    return fields


def _prompts(lines: Iterable[str]) -> tuple[str, str]:
    prompt: list[str] = []
    negative: list[str] = []
    current = prompt
    for line in map(str.strip, lines):
        if line.startswith(NEGATIVE_PREFIX):
            current = negative
            line = line.removeprefix(NEGATIVE_PREFIX).strip()
        current.append(line)
    return "\n".join(prompt), "\n".join(negative)


def _move_hypernetwork(fields: Fields) -> None:
    """Write a hypernetwork, which was a setting before there were tags, into the prompt."""
    if "Hypernet" in fields:
        strength = fields.get("Hypernet strength", "1.0")
        fields["Prompt"] = f"{fields['Prompt']}<hypernet:{fields['Hypernet']}:{strength}>"


def fill(fields: Fields) -> None:
    """Add what an absent field means: DEFAULTS, and the emphasis mode where the prompts use it."""
    if any(uses_emphasis(str(fields[key])) for key in ("Prompt", "Negative prompt")):
        fields.setdefault("Emphasis", "Original")
    for key, value in DEFAULTS.items():
        fields.setdefault(key, value)


def _add_old_meanings(fields: Fields) -> None:
    version = parse_version(str(fields.get("Version", "")))
    for row in OLD_MEANINGS:
        if version and version < row.before and row.applies(fields):
            fields[row.key] = True
