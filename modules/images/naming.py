"""Name patterns such as `[date]` or `[seed]-[prompt_words]`, turned into safe names.

Knows A1111's pattern tokens and what file systems refuse. Touches no disk.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from PIL import Image

PART_LIMIT: Final = 128
"""Longest text of one token or folder, in characters (A1111's --filenames-max-length)."""
STEM_LIMIT_BYTES: Final = 200
"""Longest stem in UTF-8; file systems allow 255 bytes, the rest is for number and extension."""

_TOKEN = re.compile(r"\[(\w+)((?:<[^<>]*>)*)\]")
_ARGUMENT = re.compile(r"<([^<>]*)>")
_FORBIDDEN = frozenset('#<>:"/\\|?*')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class NameFields:
    """What the tokens stand for; None is an unknown value and gives an empty text."""

    moment: datetime
    prompt: str = ""
    prompt_no_styles: str | None = None
    negative_prompt: str = ""
    seed: int | None = None
    seed_first: int | None = None
    seed_last: int | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    styles: tuple[str, ...] = ()
    sampler_name: str | None = None
    scheduler: str | None = None
    model_hash: str | None = None
    model_name: str | None = None
    vae_filename: str | None = None
    job_timestamp: str | None = None
    batch_number: int = 1
    batch_size: int = 1
    generation_number: int = 1
    image_count: int = 1
    clip_skip: int | None = None
    denoising_strength: float | None = None
    user: str | None = None
    basename: str = ""
    max_prompt_words: int = 8


@dataclass(frozen=True, slots=True)
class _Context:
    """One picture's fields, and the picture itself for the tokens that look at it."""

    fields: NameFields
    image: Image.Image


def expand_pattern(pattern: str, fields: NameFields, image: Image.Image) -> str:
    """Replace the tokens of `pattern`; values are made safe, unknown tokens stay as text.

    `[batch_number]` and `[generation_number]` of a lone picture vanish together with the text
    before them (A1111 1.10 behaviour).
    """
    context = _Context(fields, image)
    parts: list[str] = []
    position = 0
    for match in _TOKEN.finditer(pattern):
        before = pattern[position : match.start()]
        position = match.end()
        token = _TOKENS.get(match[1].lower())
        if token is None:
            parts += [before, match[0]]
            continue
        value = token(context, tuple(_ARGUMENT.findall(match[2])))
        if value is not None:
            parts += [before, value]
    return "".join(parts) + pattern[position:]


def file_stem(pattern: str, fields: NameFields, image: Image.Image) -> str:
    """The file name without number and extension; may be empty. Never names another folder."""
    return safe_component(expand_pattern(pattern, fields, image))


def folder_path(pattern: str, fields: NameFields, image: Image.Image) -> PurePath:
    """The relative sub-folder that `pattern` names; only the pattern's own slashes divide it."""
    text = expand_pattern(pattern, fields, image)
    components = [safe_component(part) for part in re.split(r"[/\\]", text)]
    return PurePath(*[part for part in components if part])


def safe_text(text: str, *, keep_spaces: bool = True, limit: int = PART_LIMIT) -> str:
    """`text` without characters that a file system or a URL gives a meaning to.

    >>> safe_text(' a/b: "c". ')
    'a_b_ _c_'
    >>> safe_text("one two", keep_spaces=False)
    'one_two'
    """
    if not keep_spaces:
        text = text.replace(" ", "_")
    text = "".join("_" if _is_forbidden(char) else char for char in text)
    return text.lstrip(" ")[:limit].rstrip(" .")


def safe_component(text: str) -> str:
    """One path component: safe characters, no dots only, no device name, bounded length.

    >>> safe_component(".."), safe_component("nul.txt"), safe_component("[seed] a")
    ('', '_nul.txt', '[seed] a')
    """
    text = safe_text(text, limit=len(text)).lstrip(" .")
    encoded = unicodedata.normalize("NFC", text).encode("utf-8")[:STEM_LIMIT_BYTES]
    text = encoded.decode("utf-8", "ignore").strip(" .")
    return f"_{text}" if _RESERVED.match(text) else text


def _is_forbidden(char: str) -> bool:
    return char in _FORBIDDEN or unicodedata.category(char) in ("Cc", "Cs", "Cf", "Zl", "Zp")


_Arguments: TypeAlias = tuple[str, ...]
_Token: TypeAlias = Callable[[_Context, _Arguments], str | None]


def _text(name: str) -> _Token:
    """A field as it is; unknown gives an empty text."""

    def read(context: _Context, arguments: _Arguments) -> str:
        value = getattr(context.fields, name)
        return "" if value is None else safe_text(str(value))

    return read


def _first_seed(context: _Context, arguments: _Arguments) -> str:
    fields = context.fields
    seed = fields.seed if fields.seed_first is None else fields.seed_first
    return "" if seed is None else str(seed)


def _last_seed(context: _Context, arguments: _Arguments) -> str:
    fields = context.fields
    seed = fields.seed if fields.seed_last is None else fields.seed_last
    return "" if seed is None else str(seed)


def _size(name: str) -> _Token:
    return lambda context, arguments: str(getattr(context.image, name))


def _styles(context: _Context, arguments: _Arguments) -> str:
    return safe_text(", ".join(context.fields.styles))


def _sampler_scheduler(context: _Context, arguments: _Arguments) -> str:
    parts = (context.fields.sampler_name, context.fields.scheduler)
    return safe_text("_".join(part for part in parts if part))


def _date(context: _Context, arguments: _Arguments) -> str:
    return context.fields.moment.strftime("%Y-%m-%d")


def _datetime(context: _Context, arguments: _Arguments) -> str:
    """`[datetime<format><time zone>]`; a zone that nobody knows means local time."""
    moment = context.fields.moment
    if len(arguments) > 1 and arguments[1]:
        try:
            moment = moment.astimezone(ZoneInfo(arguments[1]))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            moment = context.fields.moment
    style = arguments[0] if arguments and arguments[0] else "%Y%m%d%H%M%S"
    return safe_text(moment.strftime(style))


def _job_timestamp(context: _Context, arguments: _Arguments) -> str:
    return safe_text(context.fields.job_timestamp or _datetime(context, ()))


def _hash_of(read: Callable[[_Context], bytes]) -> _Token:
    """First 8 (or `<n>`) hexadecimal digits of the sha256 of what `read` gives."""

    def digest(context: _Context, arguments: _Arguments) -> str:
        length = int(arguments[0]) if arguments and arguments[0].isdecimal() else 8
        return hashlib.sha256(read(context)).hexdigest()[: max(length, 1)]

    return digest


def _prompt_bytes(context: _Context) -> bytes:
    return context.fields.prompt.encode("utf-8", "replace")


def _negative_prompt_bytes(context: _Context) -> bytes:
    return context.fields.negative_prompt.encode("utf-8", "replace")


def _full_prompt_bytes(context: _Context) -> bytes:
    fields = context.fields
    return f"{fields.prompt} {fields.negative_prompt}".encode("utf-8", "replace")


def _image_bytes(context: _Context) -> bytes:
    return context.image.tobytes()


def _prompt(context: _Context, arguments: _Arguments) -> str:
    return safe_text(context.fields.prompt, keep_spaces=False)


def _prompt_no_styles(context: _Context, arguments: _Arguments) -> str:
    text = context.fields.prompt_no_styles
    return safe_text(context.fields.prompt if text is None else text)


def _prompt_spaces(context: _Context, arguments: _Arguments) -> str:
    return safe_text(context.fields.prompt)


def _prompt_words(context: _Context, arguments: _Arguments) -> str:
    words = re.findall(r"[^\s.,:;!?()\[\]{}<>|]+", context.fields.prompt)
    return safe_text(" ".join(words[: context.fields.max_prompt_words]))


def _has_prompt(context: _Context, arguments: _Arguments) -> str:
    """`[hasprompt<word|otherwise>…]`: each word if the prompt has it, else its alternative."""
    prompt = context.fields.prompt.lower()
    found = []
    for argument in arguments:
        word, _, otherwise = argument.partition("|")
        found.append(word if word.lower() in prompt else otherwise)
    return safe_text("".join(found))


def _batch_number(context: _Context, arguments: _Arguments) -> str | None:
    return None if context.fields.batch_size == 1 else str(context.fields.batch_number)


def _generation_number(context: _Context, arguments: _Arguments) -> str | None:
    return None if context.fields.image_count == 1 else str(context.fields.generation_number)


def _vae_filename(context: _Context, arguments: _Arguments) -> str:
    return safe_text(PurePath(context.fields.vae_filename or "").stem)


def _none(context: _Context, arguments: _Arguments) -> str:
    return ""


_TOKENS: Final[dict[str, _Token]] = {
    "seed": _text("seed"),
    "seed_first": _first_seed,
    "seed_last": _last_seed,
    "steps": _text("steps"),
    "cfg": _text("cfg_scale"),
    "width": _size("width"),
    "height": _size("height"),
    "styles": _styles,
    "sampler": _text("sampler_name"),
    "sampler_scheduler": _sampler_scheduler,
    "scheduler": _text("scheduler"),
    "model_hash": _text("model_hash"),
    "model_name": _text("model_name"),
    "date": _date,
    "datetime": _datetime,
    "job_timestamp": _job_timestamp,
    "prompt_hash": _hash_of(_prompt_bytes),
    "negative_prompt_hash": _hash_of(_negative_prompt_bytes),
    "full_prompt_hash": _hash_of(_full_prompt_bytes),
    "prompt": _prompt,
    "prompt_no_styles": _prompt_no_styles,
    "prompt_spaces": _prompt_spaces,
    "prompt_words": _prompt_words,
    "batch_number": _batch_number,
    "batch_size": _text("batch_size"),
    "generation_number": _generation_number,
    "hasprompt": _has_prompt,
    "clip_skip": _text("clip_skip"),
    "denoising": _text("denoising_strength"),
    "user": _text("user"),
    "vae_filename": _vae_filename,
    "none": _none,
    "image_hash": _hash_of(_image_bytes),
    "basename": _text("basename"),
}
