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
# Ways to say that {0} and {1} are there, and that {0} stands left of {1}, or above it.
LOOSE_FORMS = {
    "left": ("a {0} and a {1}",) * 3 + ("a {1} and a {0}", "a {0} next to a {1}"),
    "top": ("a {0} and a {1}", "a {1} and a {0}"),
}
ORDER_FORMS = {
    "left": ("a {0} left of a {1}", "a {0} to the left of a {1}", "a {1} right of a {0}"),
    "top": (
        "a {0} above a {1}",
        "a {0} above a {1}",
        "a {1} below a {0}",
        "a {0} on top of a {1}",
    ),
}
NUMBERS = {2: "two", 3: "three", 4: "four"}
COUNT_PREFIXES = ("",) * 8 + ("a picture of ", "an emoji of ")
IRREGULAR = {
    "mouse": "mice",
    "snowman": "snowmen",
    "leaf": "leaves",
    "loaf": "loaves",
    "tomato": "tomatoes",
    "volcano": "volcanoes",
}
UNCHANGED = frozenset({"sheep", "fish", "broccoli", "corn", "fire", "lightning", "dice"})


def caption(
    scene: Scene, style: Style, random: np.random.Generator, *, is_exact: bool = False
) -> str:
    """Say in words what the scene shows; empty in a tenth of the cases, so that CFG works.

    `is_exact`: never empty, and the order of two things is always said.
    """
    if not is_exact and random.random() < CAPTION_DROPOUT:
        return ""
    subjects = [_subject(part, random) for part in scene.parts]
    if scene.is_counted:
        text = _pick(COUNT_PREFIXES, random) + f"{NUMBERS[len(subjects)]} {plural(subjects[0])}"
    elif len(subjects) == 2 and scene.place is not None:
        forms = ORDER_FORMS[scene.place]
        if not is_exact:
            forms += LOOSE_FORMS[scene.place]
        text = _pick(forms, random).format(*subjects)
    else:
        size = _pick(SMALL_WORDS, random) if scene.is_small else ""
        text = _pick(PREFIXES, random) + size + subjects[0] + _place_words(scene.place, random)
    parts = _style_words(style, random) + _ground_words(scene.background, random)
    random.shuffle(parts)
    text += "".join(parts) + _pick(SUFFIXES, random)
    return ARTICLE.sub("an ", text)


def plural(words: str) -> str:
    """Several of what `words` name.

    >>> plural("red car"), plural("slice of pizza"), plural("cherry"), plural("glasses")
    ('red cars', 'slices of pizza', 'cherries', 'glasses')
    """
    head, link, rest = words, "", ""
    for link in (" of ", " with "):
        head, link, rest = words.partition(link)
        if link:
            break
    before, space, noun = head.rpartition(" ")
    return f"{before}{space}{_plural_noun(noun)}{link}{rest}"


def _plural_noun(noun: str) -> str:
    if noun in IRREGULAR:
        return IRREGULAR[noun]
    is_plural = noun.endswith("s") and not noun.endswith(("ss", "us"))
    if is_plural or noun in UNCHANGED:
        return noun
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


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
