"""Extra networks by the names that prompts call them, and put on a lent model for a while.

One place that knows all three kinds: LoRAs and their kin, hypernetworks, textual inversion.
Safe to use from any thread, but for a model, which one thread has at a time. Loads no torch at
module level.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modules.core.errors import ModelError, NotFound
from modules.model_manager.embeddings import Embeddings, FittingEmbeddings
from modules.model_manager.hashes import Hashes, Stamp, stamp_of
from modules.model_manager.library import FileCard, FileKind, Library

if TYPE_CHECKING:  # these carry torch
    from modules.model_manager.adapters import Adapter, Fit
    from modules.model_manager.hypernetworks import Hypernetwork
    from modules.pipelines.sd import StableDiffusion

log = logging.getLogger(__name__)

SHORT_HASH: Final = 12
"""Hex digits of LoRAs' and embeddings' hashes in infotexts."""
_HASH_KEY: Final = "sshs_model_hash"


@dataclass(frozen=True, slots=True)
class LoraUse:
    """A LoRA that a prompt asks for."""

    name: str
    te: float = 1.0
    """Multiplier of the text encoders' layers."""
    unet: float = 1.0
    rank: int | None = None
    """Ranks to use (DyLoRA); None: all."""


@dataclass(frozen=True, slots=True)
class HypernetworkUse:
    """A hypernetwork that a prompt asks for."""

    name: str
    multiplier: float = 1.0


@dataclass(frozen=True, slots=True)
class Wish:
    """The networks that a batch asks for, and what the settings say of them."""

    loras: tuple[LoraUse, ...] = ()
    hypernetworks: tuple[HypernetworkUse, ...] = ()
    allow_pickles: bool = False
    keep: int = 0
    """LoRA files that stay in memory beside those in use (`lora_in_memory_limit`)."""


@dataclass(slots=True)
class Worn:
    """What became of a wish on one model."""

    loras: list[tuple[LoraUse, FileCard]] = field(default_factory=list)
    """Those that could be read."""
    warnings: list[str] = field(default_factory=list)
    """About those that could not."""
    misfits: list[str] = field(default_factory=list)
    """About those that were made for other models."""
    embeddings: FittingEmbeddings | None = None
    bundles: dict[str, str] = field(default_factory=dict)
    """Embeddings that came with LoRAs: the LoRA's name."""


class Networks:
    """All extra networks of one Easel."""

    def __init__(self, library: Library, hashes: Hashes) -> None:
        self._library = library
        self._hashes = hashes
        self.embeddings = Embeddings(library)
        self._lock = threading.Lock()
        self._adapters: OrderedDict[tuple[Path, Stamp], Adapter] = OrderedDict()
        self._hypernetworks: dict[tuple[Path, Stamp], Hypernetwork] = {}

    def find_lora(self, name: str) -> FileCard:
        """The file of that name, relative path, or alias (`ss_output_name`). Raises NotFound."""
        try:
            return self._library.find(FileKind.LORA, name)
        except NotFound:
            found = self._library.by_alias().get(name)
            if found is None:
                raise
            return found

    def lora_hash(self, card: FileCard) -> str | None:
        """12 hex digits of a LoRA's hash; waits until it is known. None where hashing is off.

        kohya's: SHA-256 of the tensors' bytes; of other formats that of the file.
        """
        is_plain = card.path.suffix.lower() == ".safetensors"
        said = card.header_metadata().get(_HASH_KEY, "") if is_plain else ""
        if len(said) == 64 and set(said) <= set("0123456789abcdef"):
            return said[:SHORT_HASH]
        sha256 = self._hashes.request(card.path, data_only=is_plain).result()
        return sha256[:SHORT_HASH] if sha256 else None

    def file_hash(self, card: FileCard) -> str | None:
        """12 hex digits of an embedding's hash; waits until it is known."""
        sha256 = self._hashes.request(card.path).result()
        return sha256[:SHORT_HASH] if sha256 else None

    @contextmanager
    def wearing(self, pipeline: StableDiffusion) -> Iterator[Wearing]:
        """Inside, the model wears what `Wearing.change` says; behind it, it is what it was.

        Bit for bit; a model that cannot be, since its file changed, is marked as spoilt.
        """
        wearing = Wearing(self, pipeline)
        try:
            yield wearing
        finally:
            wearing.clear()

    def read_adapters(self, wish: Wish, worn: Worn) -> list[Adapter]:
        """The adapters of the wish that can be read, noted in `worn`; the others are warnings."""
        adapters = []
        for asked in wish.loras:
            found = self._adapter(asked.name, wish, worn)
            if found is not None:
                worn.loras.append((asked, found[0]))
                adapters.append(found[1])
        self._forget({(one.path, one.stamp) for one in adapters}, wish.keep)
        return adapters

    def _adapter(self, name: str, wish: Wish, worn: Worn) -> tuple[FileCard, Adapter] | None:
        """The adapter of that name, read where it is not in memory; None, and a warning."""
        from modules.model_manager.adapters import read_adapter

        try:
            card = self.find_lora(name)
            try:
                key = (card.path, stamp_of(card.path))
            except OSError as error:
                raise ModelError(card.path, "is gone.") from error
            with self._lock:
                adapter = self._adapters.get(key)
            if adapter is None:
                adapter = read_adapter(card.path, allow_pickles=wish.allow_pickles)
            with self._lock:
                self._adapters[key] = adapter
                self._adapters.move_to_end(key)
            return card, adapter
        except (NotFound, ModelError) as error:
            worn.warnings.append(f"<lora:{name}> was left out: {error}")
            return None

    def _forget(self, used: set[tuple[Path, Stamp]], keep: int) -> None:
        """Let adapters go that are not in use, but for the `keep` last ones."""
        with self._lock:
            idle = [key for key in self._adapters if key not in used]
            for key in idle[: max(0, len(idle) - keep)]:
                del self._adapters[key]

    def read_hypernetworks(self, wish: Wish, worn: Worn) -> list[tuple[Hypernetwork, float]]:
        """The hypernetworks of the wish that can be read; the others are warnings."""
        from modules.model_manager.hypernetworks import read_hypernetwork

        uses, known = [], {}
        for asked in wish.hypernetworks:
            try:
                card = self._library.find(FileKind.HYPERNETWORK, asked.name)
                key = (card.path, card.stamp)
                network = self._hypernetworks.get(key)
                if network is None:
                    network = read_hypernetwork(card.path, allow_pickles=wish.allow_pickles)
            except (NotFound, ModelError) as error:
                worn.warnings.append(f"<hypernet:{asked.name}> was left out: {error}")
                continue
            known[key] = network
            uses.append((network, asked.multiplier))
        self._hypernetworks = known
        return uses


class Wearing:
    """One lent model and what it wears at the moment."""

    def __init__(self, networks: Networks, pipeline: StableDiffusion) -> None:
        self._networks = networks
        self._pipeline = pipeline
        self._before = pipeline.embeddings, pipeline.text_key
        self._hooks = ExitStack()

    def change(self, wish: Wish) -> Worn:
        """Let it wear this and nothing else; what cannot be worn is a warning."""
        from modules.model_manager.hypernetworks import hypernetworks_on

        worn = Worn()
        self._hooks.close()
        self._put_on(wish, worn)
        uses = self._networks.read_hypernetworks(wish, worn)
        self._hooks.enter_context(hypernetworks_on(self._pipeline, uses))
        return worn

    def clear(self) -> None:
        """Let it be what it was before; what was drawn with it is good in any case."""
        from modules.model_manager.adapters import take_off

        self._hooks.close()
        self._pipeline.embeddings, self._pipeline.text_key = self._before
        try:
            take_off(self._pipeline)
        except ModelError as error:
            log.warning("%s It is loaded anew when it is next wanted.", error)

    def _put_on(self, wish: Wish, worn: Worn) -> None:
        from modules.model_manager.adapters import Use, put_on, text_key

        pipeline, embeddings = self._pipeline, self._networks.embeddings
        adapters = self._networks.read_adapters(wish, worn)
        uses = [
            Use(adapter, asked.te, asked.unet, asked.rank)
            for adapter, (asked, _) in zip(adapters, worn.loras, strict=True)
        ]
        fits = put_on(pipeline, uses)
        worn.misfits = [
            _misfit_words(asked, use.adapter, fit, pipeline)
            for (asked, _), use, fit in zip(worn.loras, uses, fits, strict=True)
            if not fit.is_worn and use.adapter.layers
        ]
        bundled = [one for one in adapters if one.bundled]
        worn.embeddings = FittingEmbeddings(
            embeddings,
            pipeline.text_widths,
            allow_pickles=wish.allow_pickles,
            bundled={name: rows for one in bundled for name, rows in one.bundled.items()},
        )
        worn.bundles = {name: one.path.stem for one in bundled for name in one.bundled}
        pipeline.embeddings = worn.embeddings
        pipeline.text_key = (
            text_key(uses, fits),
            embeddings.state(),
            tuple((one.path, one.stamp) for one in bundled),
            wish.allow_pickles,
        )


def _misfit_words(asked: LoraUse, adapter: Adapter, fit: Fit, pipeline: StableDiffusion) -> str:
    from modules.pipelines.spec import SPECS

    spec, family = pipeline.spec, adapter.family
    is_known = family is not None and family is not spec.family
    made = SPECS[family].label if family is not None and is_known else "another kind of model"
    return (
        f"<lora:{asked.name}> was left out: it was made for {made}, and the checkpoint is a "
        f"{spec.label} model ({fit.fitting} of its {fit.total} layers fit)."
    )
