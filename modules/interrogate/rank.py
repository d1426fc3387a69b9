"""Which words fit a picture best: one list after the other. Carries torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import torch
from PIL import Image
from torch import Tensor

from modules.images import flatten
from modules.interrogate.clip import Clip
from modules.interrogate.features import WordFeatures
from modules.interrogate.ground import on_white
from modules.interrogate.words import FIRST_CATEGORY, Ranked, WordList

MAX_SIDE: Final = 2048
"""Longest side of a picture (px) before the model's own preparation, roughly."""
FEW: Final = 32
"""A list of at most so many words is read together with the words that were found before."""


def rank_words(seen: Tensor, words: WordList, vectors: Tensor, sharpness: float) -> list[Ranked]:
    """All words of a list, best first.

    seen: (D,) unit vector of the picture; vectors: (N, D) of the words. Shares are a softmax over
    the list (Radford et al. 2021, section 3.1.2).
    """
    shares = (sharpness * (vectors @ seen)).softmax(0)
    order = torch.argsort(shares, descending=True, stable=True).tolist()
    return [Ranked(words.category, words.words[i], float(shares[i])) for i in order]


@dataclass(frozen=True, slots=True)
class View:
    """A picture as CLIP sees it: two unit vectors (D,)."""

    whole: Tensor
    thing: Tensor
    """With a plain ground made white; for the list of what it shows."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A model, and the vectors of words that it read before."""

    clip: Clip
    features: WordFeatures
    model_key: str

    def look_at(self, image: Image.Image) -> View:
        """The view of a picture of any mode."""
        picture = flatten(_reduced(image))
        whole, white = self.clip.see(picture), on_white(picture)
        return View(whole, whole if white is picture else self.clip.see(white))

    def rank(self, view: View, words: WordList) -> list[Ranked]:
        """All words of a list, best first."""
        seen = view.thing if words.category == FIRST_CATEGORY else view.whole
        vectors = self.features.of(words, self.model_key, self.clip.read)
        return rank_words(seen, words, vectors, self.clip.sharpness)


def describe(view: View, lists: Iterable[WordList], reader: Reader) -> list[Ranked]:
    """The words of a text for the picture, list by list.

    The first list, and every long one, is compared word by word. The words of a short one are
    tried behind the text so far ("cat, blue background"), which tells far more of colours, and
    only those are taken that make it fit better than it did.
    """
    found: list[Ranked] = []
    for words in lists:
        if found and len(words.words) <= FEW:
            found += _better_with(view.whole, found, words, reader.clip)
        else:
            found += reader.rank(view, words)[: words.take]
    return found


def _better_with(seen: Tensor, found: list[Ranked], words: WordList, clip: Clip) -> list[Ranked]:
    """The best of the words that make the text fit better."""
    text = ", ".join(one.word for one in found)
    vectors = clip.read([text, *(f"{text}, {word}" for word in words.words)])
    shares = (clip.sharpness * (vectors @ seen)).softmax(0)
    better = [i for i in range(len(words.words)) if shares[i + 1] > shares[0]]
    better.sort(key=lambda i: -float(shares[i + 1]))
    return [
        Ranked(words.category, words.words[i], float(shares[i + 1])) for i in better[: words.take]
    ]


def _reduced(image: Image.Image) -> Image.Image:
    """A huge picture made smaller, cheaply; others as they are."""
    factor = max(image.size) // MAX_SIDE
    if factor <= 1:
        return image
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("P", "PA"):  # places in a palette have no mean
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.reduce(factor)
