"""Weights of words in the prompts of other programs, written as A1111 writes them."""

from __future__ import annotations

import re
from typing import Final

NOVELAI_STEP: Final = 1.05
COMPEL_STEP: Final = 1.1
COMPEL_STEP_DOWN: Final = 0.9
MAX_STEPS: Final = 20

_NOVELAI: Final = re.compile(r"(-?\d{1,6}(?:\.\d{1,6})?)?::|[{}\[\]]|[^{}\[\]:\d-]+|[\s\S]")
_GROUP: Final = re.compile(r"\(([^()]{1,2000})\)(\d{1,6}(?:\.\d{1,6})?|\++|-+)(?![\w.])")
_WORD: Final = re.compile(r"\b([^\W\d_]\w*)(\++|-{2,}|-(?=\s|,|$))(?=[\s,.)]|$)")


def from_novelai(prompt: str) -> str:
    r"""NovelAI's `{up}`, `[down]` (1.05 each) and `1.5::numbers::`; its parentheses are letters.

    >>> from_novelai("a {{cat}}, [hat], 1.2::red fox::, (sic)")
    'a (cat:1.1025), (hat:0.9524), (red fox:1.2), \\(sic\\)'
    >>> from_novelai("plain, 16:9"), from_novelai("}[")
    ('plain, 16:9', '')
    """
    parts: list[tuple[str, float]] = []
    steps, factor = 0, 1.0
    for match in _NOVELAI.finditer(prompt):
        token = match[0]
        if token in "{}[]":
            steps += 1 if token in "{]" else -1
        elif token.endswith("::"):
            factor = min(10.0, max(-10.0, float(match[1]))) if match[1] else 1.0
        else:
            weight = factor * NOVELAI_STEP ** max(-MAX_STEPS, min(MAX_STEPS, steps))
            text = re.sub(r"[()]", r"\\\g<0>", token)
            if parts and parts[-1][1] == weight:
                text = parts.pop()[0] + text
            parts.append((text, weight))
    return "".join(_weighted(text, weight) for text, weight in parts).strip()


def from_compel(prompt: str) -> str:
    """InvokeAI's `(words)1.2`, `(words)++` and `word-`.

    >>> from_compel("a (red fox)1.3 in snow++, fog-, well-known (aside)")
    'a (red fox:1.3) in (snow:1.21), (fog:0.9), well-known (aside)'
    """
    grouped = _GROUP.sub(lambda match: _compel(match[1], match[2]), prompt)
    return _WORD.sub(lambda match: _compel(match[1], match[2]), grouped)


def _compel(text: str, sign: str) -> str:
    count = min(len(sign), MAX_STEPS)
    if sign[0] == "+":
        return _weighted(text, COMPEL_STEP**count)
    if sign[0] == "-":
        return _weighted(text, COMPEL_STEP_DOWN**count)
    return _weighted(text, float(sign))


def _weighted(text: str, weight: float) -> str:
    """Blanks and commas at the ends stay outside of the parentheses."""
    bare = text.strip(" ,\n")
    weight = round(weight, 4)
    if weight == 1 or not bare:
        return text
    start = text.index(bare)
    return f"{text[:start]}({bare}:{weight:g}){text[start + len(bare) :]}"
