"""The VAE files that a checkpoint's own autoencoder can be replaced with, by A1111's names."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from modules.core.errors import NotFound
from modules.model_manager.scan import scan_all

log = logging.getLogger(__name__)

AUTOMATIC = "Automatic"
NONE = "None"
SUFFIXES = (".safetensors", ".pt", ".ckpt")
_MARK = ".vae"


class VaeCatalogue:
    """VAE files: all in the VAE folders, and `name.vae.*` in the checkpoint folders."""

    def __init__(
        self, folders: Sequence[Path], checkpoint_folders: Sequence[Path], default: Path | None
    ) -> None:
        """List the folders; `default` (`--vae-path`) is what "Automatic" means where given."""
        self._folders = tuple(folders)
        self._checkpoint_folders = tuple(checkpoint_folders)
        self._default = default
        self._files: dict[str, Path] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the folders again."""
        beside = [
            found.path
            for found in scan_all(self._checkpoint_folders, SUFFIXES)
            if found.path.stem.lower().endswith(_MARK)
        ]
        own = [found.path for found in scan_all(self._folders, SUFFIXES)]
        files: dict[str, Path] = {}
        for path in (*beside, *own):
            files.setdefault(path.name, path)
        self._files = dict(sorted(files.items()))

    def files(self) -> dict[str, Path]:
        """Path by name (file name with ending), in order."""
        return dict(self._files)

    def resolve(self, name: str, checkpoint: Path) -> Path | None:
        """The file that `name` means for `checkpoint`; None is the checkpoint's own.

        "Automatic" is a file named like the checkpoint (`x.vae.safetensors` or, in the VAE
        folder, `x.safetensors`), where there is one. Raises NotFound.
        """
        if name == NONE:
            return None
        if name in ("", AUTOMATIC):
            return self._default or self._named_like(checkpoint)
        for key, path in self._files.items():
            if name in (key, path.stem, str(path)):
                return path
        raise NotFound("VAE", name, (AUTOMATIC, NONE, *self._files))

    def _named_like(self, checkpoint: Path) -> Path | None:
        """Pickles are passed over: they cannot be loaded, and the checkpoint has a VAE."""
        wanted = {checkpoint.stem, f"{checkpoint.stem}{_MARK}"}
        named = [path for path in self._files.values() if path.stem in wanted]
        for path in named:
            if path.suffix == ".safetensors":
                return path
            log.warning("%s is a pickle and is left out; convert it to .safetensors", path.name)
        return None
