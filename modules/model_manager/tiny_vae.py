"""The files of `models/VAE-approx`: small stand-ins for a model's autoencoder (TAESD).

A file does not say whose latents it was made for, so each is measured against the autoencoder of
the model at work, and the closest one is taken. Loads no torch at module level.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakKeyDictionary

from modules.core.errors import ModelError
from modules.model_manager.library import FileCard, FileKind, Library

if TYPE_CHECKING:  # these carry torch
    from torch import Tensor
    from torch.nn import Module

    from modules.pipelines.sd import StableDiffusion
    from modules.pipelines.tiny_vae import TinyDecoder, TinyEncoder

log = logging.getLogger(__name__)

LIMIT: Final = 0.09
"""Mean difference of two pictures, 0 to 1. Measured: the shipped stand-in differs by 0.06 from its
own model; latents half or one and a half times as large give 0.10 and more, other ones 0.15 on."""

_NUMBER: Final = re.compile(r"^(\d+)\.")

Part = TypeVar("Part")


class TinyVaes:
    """Finds the stand-in that fits a lent model. One thread at a time, that of the model."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._decoders: WeakKeyDictionary[Module, tuple[object, TinyDecoder | None]]
        self._encoders: WeakKeyDictionary[Module, tuple[object, TinyEncoder | None]]
        self._decoders, self._encoders = WeakKeyDictionary(), WeakKeyDictionary()

    def decoder(self, pipeline: StableDiffusion, *, allow_pickles: bool) -> TinyDecoder | None:
        """What decodes this model's latents best, on its device; None where nothing fits."""
        from modules.pipelines.tiny_vae import decoder_error, sample_picture, tiny_decoder

        def error(found: TinyDecoder) -> float:
            with pipeline.coding_with():
                latent = pipeline.encode_image(sample_picture())
                return decoder_error(found, latent, pipeline.decode(latent))

        vae, files = pipeline.networks.vae, self._library.files(FileKind.VAE_APPROX)
        known = self._decoders.get(vae)
        if known is None or known[0] is not files:
            best = _best(files, "decoder", tiny_decoder, error, allow_pickles)
            known = self._decoders[vae] = files, best
        if known[1] is not None:
            known[1].network.to(pipeline.device)
        return known[1]

    def encoder(self, pipeline: StableDiffusion, *, allow_pickles: bool) -> TinyEncoder | None:
        """What makes latents that this model's autoencoder reads best; as `decoder`."""
        from modules.pipelines.tiny_vae import decoder_error, sample_picture, tiny_encoder

        def error(found: TinyEncoder) -> float:
            picture = sample_picture()
            with pipeline.coding_with():
                own = pipeline.decode(pipeline.encode_image(picture))
                return decoder_error(pipeline.decode, found(picture), own)

        vae, files = pipeline.networks.vae, self._library.files(FileKind.VAE_APPROX)
        known = self._encoders.get(vae)
        if known is None or known[0] is not files:
            best = _best(files, "encoder", tiny_encoder, error, allow_pickles)
            known = self._encoders[vae] = files, best
        if known[1] is not None:
            known[1].network.to(pipeline.device)
        return known[1]


def _best(
    files: tuple[FileCard, ...],
    half: str,
    build: Callable[[dict[str, Tensor]], Part],
    error: Callable[[Part], float],
    allow_pickles: bool,
) -> Part | None:
    """The part that comes closest, if it comes close enough; unreadable files are logged."""
    best, least = None, LIMIT
    for card in files:
        try:
            weights = _half(_read(card, allow_pickles), half)
            if not weights:
                continue
            part = build(weights)
            off = error(part)
        except ModelError as broken:
            log.warning("%s", broken)
            continue
        except (KeyError, ValueError, RuntimeError) as misfit:
            log.debug("%s is no %s of this model: %s", card.path.name, half, misfit)
            continue
        log.info("%s differs from the VAE by %.3f (at most %.2f)", card.path.name, off, LIMIT)
        if off <= least:
            best, least = part, off
    return best


def _read(card: FileCard, allow_pickles: bool) -> Mapping[str, Tensor]:
    from modules.model_manager.pickle_file import PICKLES, read_small
    from modules.model_manager.tensor_file import open_tensors, read_tensors

    if card.path.suffix.lower() in PICKLES:
        content: Any = read_small(card.path, allowed=allow_pickles)
        return content if isinstance(content, dict) else {}
    import torch

    file = open_tensors(card.path)
    return read_tensors(file, file.entries, torch.device("cpu"))


def _half(weights: Mapping[str, Tensor], half: str) -> dict[str, Tensor]:
    """One half's weights by diffusers' names; {} where the file has none.

    TAESD's own files hold one half each, by numbers: the decoder's begin at 1, because a clamp
    stands before them.
    """
    prefix = f"{half}."
    mine = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    if mine or not all(_NUMBER.match(name) for name in weights):
        return mine
    is_decoder = "0.weight" not in weights
    if is_decoder != (half == "decoder"):
        return {}
    shift = 1 if is_decoder else 0
    return {
        _NUMBER.sub(lambda match: f"layers.{int(match[1]) - shift}.", name): weight
        for name, weight in weights.items()
    }
