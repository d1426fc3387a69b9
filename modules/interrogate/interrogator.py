"""A text for a picture, by CLIP; safe to call from any thread. Loads torch at the first picture."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from PIL import Image

from modules.core.errors import ModelError
from modules.core.settings import known_settings
from modules.interrogate.clip_files import ClipFiles, clip_names, find_clip
from modules.interrogate.words import Ranked, WordList, as_text, read_lists

if TYPE_CHECKING:  # these carry torch
    import torch

    from modules.interrogate.clip import Clip
    from modules.interrogate.rank import Reader

log = logging.getLogger(__name__)

T = TypeVar("T")


class LendDevice(Protocol):
    """Who owns the device's memory: makes room for so many bytes and lends the device."""

    def __call__(self, size_bytes: int) -> AbstractContextManager[torch.device]:
        """Lend it until the block ends; may wait for others."""
        ...


@dataclass(frozen=True, slots=True)
class _Kept:
    """A loaded model that waits for the next picture."""

    key: str
    clip: Clip


class Interrogator:
    """CLIP and its lists of words."""

    def __init__(
        self,
        models: Sequence[Path],
        list_folders: Sequence[Path],
        cache: Path,
        lend: LendDevice,
        *,
        settings: Callable[[], Mapping[str, Any]] = known_settings,
    ) -> None:
        """models: folders of CLIP models; list_folders: of word lists; the user's first.

        cache: folder for words' vectors. settings: gives the user's, anew at each picture.
        """
        self._models = tuple(models)
        self._list_folders = tuple(list_folders)
        self._cache = cache
        self._lend = lend
        self._settings = settings
        self._lock = threading.Lock()
        self._kept: _Kept | None = None

    def names(self) -> list[str]:
        """The CLIP models that are here."""
        return clip_names(self._models)

    def categories(self) -> list[str]:
        """The lists of words that are here."""
        return [words.category for words in read_lists(self._list_folders)]

    def caption(self, image: Image.Image) -> str:
        """A text for the picture, such as "cat, blue background"; any size and mode.

        Raises ModelError where there is no CLIP, it is damaged or there are no words; NotFound for
        an unknown one.
        """
        settings = self._settings()
        words = self._lists(settings)
        if not words:
            places = " or ".join(str(folder) for folder in self._list_folders)
            reason = f"there are no words to compare with. Put lists (name.txt) into {places}"
            raise ModelError("interrogate", f"{reason}, and skip fewer categories.")

        def work(reader: Reader) -> list[Ranked]:
            from modules.interrogate.rank import describe  # torch

            return describe(reader.look_at(image), words, reader)

        found = self._with_clip(settings, work)
        return as_text(found, with_shares=bool(settings["interrogate_return_ranks"]))

    def ranking(self, image: Image.Image, category: str) -> list[Ranked]:
        """All words of one list, best first. Raises as `caption`; nothing for an unknown list."""
        settings = self._settings()
        wanted = [words for words in self._lists(settings) if words.category == category]

        def work(reader: Reader) -> list[Ranked]:
            view = reader.look_at(image)
            return [one for words in wanted for one in reader.rank(view, words)]

        return self._with_clip(settings, work)

    def unload(self) -> None:
        """Forget the model that is kept."""
        with self._lock:
            self._kept = None

    def _lists(self, settings: Mapping[str, Any]) -> tuple[WordList, ...]:
        return read_lists(
            self._list_folders,
            limit=settings["interrogate_clip_dict_limit"],
            skip=settings["interrogate_clip_skip_categories"],
        )

    def _with_clip(self, settings: Mapping[str, Any], work: Callable[[Reader], T]) -> T:
        """`work` with the model that the settings name.

        The device is asked for before our own lock: a running job has the device, and its script
        may want a caption too.
        """
        files = find_clip(self._models, settings["interrogate_clip_model"])
        is_kept = bool(settings["interrogate_keep_models_in_memory"])
        with self._lend(files.size_bytes) as device, self._lock:
            return self._lent(files, device, is_kept, work)

    def _lent(
        self,
        files: ClipFiles,
        device: torch.device,
        is_kept: bool,
        work: Callable[[Reader], T],
    ) -> T:
        import torch

        from modules.interrogate.features import WordFeatures  # torch
        from modules.interrogate.rank import Reader

        clip = self._load(files, device)
        started = time.monotonic()
        try:
            result = work(Reader(clip, WordFeatures(self._cache), files.key))
        finally:
            self._kept = None
            if is_kept:
                clip.to(torch.device("cpu"))
                self._kept = _Kept(files.key, clip)
        log.info("Interrogated a picture in %.1f s", time.monotonic() - started)
        return result

    def _load(self, files: ClipFiles, device: torch.device) -> Clip:
        if self._kept is not None and self._kept.key == files.key:
            self._kept.clip.to(device)
            return self._kept.clip
        self._kept = None
        from modules.interrogate.clip import load_clip  # torch

        started = time.monotonic()
        clip = load_clip(files, device)
        log.info("Loaded CLIP %s in %.1f s", files.name, time.monotonic() - started)
        return clip
