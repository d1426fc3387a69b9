"""The files of upscaler networks: which there are, and their weights. Loads no torch itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modules.core.errors import ModelError
from modules.model_manager.check import PICKLES, check_pickle
from modules.model_manager.library import FileKind, Library
from modules.model_manager.tensor_header import open_tensors

_ARCHIVE = b"PK\x03\x04"
"""How torch's archives begin, since its version 1.6."""


class UpscalerFiles:
    """`postprocess.ModelFiles` over the library."""

    def __init__(self, library: Library, settings: Callable[[], Mapping[str, Any]]) -> None:
        self._library = library
        self._settings = settings

    def paths(self) -> Sequence[Path]:
        """All files in the folders of upscalers, as they are now; folder after folder."""
        folders = self._library.folders(FileKind.UPSCALER)
        cards = self._library.refresh(FileKind.UPSCALER)
        return [
            card.path for folder in folders for card in cards if card.path == folder / card.relative
        ]

    def check(self, path: Path) -> None:
        """Raise ModelError for pickles from before torch 1.6, where the user allows none.

        Newer ones are read as data; what they hold beyond data is found out then.
        """
        if path.suffix.lower() in PICKLES and not _is_archive(path):
            check_pickle(path, allowed=self._settings()["allow_pickles"])

    def read(self, path: Path) -> Mapping[str, Any]:
        """The weights, on the CPU, as they were saved: by name, or by name below one key.

        Raises ModelError for damaged files, and for those whose code would have to be run.
        """
        import torch

        from modules.model_manager.pickle_file import read_small
        from modules.model_manager.tensor_file import read_tensors

        if path.suffix.lower() in PICKLES:
            content = read_small(path, allowed=self._settings()["allow_pickles"])
            if not isinstance(content, dict):
                raise ModelError(path, "holds no named tensors.")
            return content
        file = open_tensors(path)
        return read_tensors(file, file.entries, torch.device("cpu"))


def _is_archive(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_ARCHIVE)) == _ARCHIVE
    except OSError as error:
        raise ModelError(path, f"cannot be read ({error.strerror or error}).") from error
