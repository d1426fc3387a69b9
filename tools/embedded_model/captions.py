"""Says in words what a scene shows. Must not know pictures, tensors or files."""

import re
from collections.abc import Sequence

import numpy as np

from tools.embedded_model.concepts import CONCEPTS, Style
from tools.embedded_model.scenes import Part, Scene

CAPTION_DROPOUT = 0.1
BEST_WORD_SHARE = 0.7
PLACE_NAMED_SHARE = 0.85
ARTICLE = re.compile(r"\ba (?=[aeio]|umb)")
PREFIXES = ("",) * 5 + ("a ",) * 5 + ("a picture of a ", "an emoji of a ")
SUFFIXES = ("",) * 30 + (", best quality", ", masterpiece")
SMALL_WORDS = ("small ", "small ", "tiny ", "little ")
PLACE_WORDS = {
    "left": (" on the left", " on the left side"),
    "right": (" on the right", " on the right side"),
    "top": (" at the top", " on the upper side"),
    "bottom": (" at the bottom", " on the lower side"),
}
# Ways to say that {0} stands left of {1}, or above it.
PAIR_FORMS = {
    "left": (
        "a {0} and a {1}",
        "a {0} and a {1}",
        "a {0} and a {1}",
        "a {1} and a {0}",
        "a {0} left of a {1}",
        "a {0} to the left of a {1}",
        "a {1} right of a {0}",
        "a {0} next to a {1}",
    ),
    "top": (
        "a {0} and a {1}",
        "a {1} and a {0}",
        "a {0} above a {1}",
        "a {0} above a {1}",
        "a {1} below a {0}",
        "a {0} on top of a {1}",
    ),
}


def caption(scene: Scene, style: Style, random: np.random.Generator) -> str:
    """Say in words what the scene shows; empty in a tenth of the cases, so that CFG works."""
    if random.random() < CAPTION_DROPOUT:
        return ""
    subjects = [_subject(part, random) for part in scene.parts]
    if len(subjects) == 2 and scene.place is not None:
        text = _pick(PAIR_FORMS[scene.place], random).format(*subjects)
    else:
        size = _pick(SMALL_WORDS, random) if scene.is_small else ""
        text = _pick(PREFIXES, random) + size + subjects[0] + _place_words(scene.place, random)
    parts = _style_words(style, random) + _ground_words(scene.background, random)
    random.shuffle(parts)
    text += "".join(parts) + _pick(SUFFIXES, random)
    return ARTICLE.sub("an ", text)


def _subject(part: Part, random: np.random.Generator) -> str:
    concept = CONCEPTS[part.concept]
    if part.tint is not None:
        return f"{part.tint} {concept.name}"
    return concept.name if random.random() < BEST_WORD_SHARE else _pick(concept.words, random)


def _place_words(place: str | None, random: np.random.Generator) -> str:
    if place is None or random.random() > PLACE_NAMED_SHARE:
        return ""
    return _pick(PLACE_WORDS[place], random)


def _style_words(style: Style, random: np.random.Generator) -> list[str]:
    return [] if random.random() < style.unnamed else [f", {style.words}"]


def _ground_words(ground: str | None, random: np.random.Generator) -> list[str]:
    if ground is None:
        return [", white background"] if random.random() < 0.3 else []
    form = _pick((", {} background", " on a {} background", " on {}"), random)
    return [form.format(ground)]


def _pick(values: Sequence[str], random: np.random.Generator) -> str:
    return values[int(random.integers(len(values)))]
