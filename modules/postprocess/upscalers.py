"""The upscalers by name: three that PIL has, and one for each model file. Loads no torch.

The one list that hires fix, img2img, extras, scripts and the REST API choose from.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from PIL import Image

from modules.core.errors import BadInput, NotFound
from modules.core.settings import known_settings
from modules.images.decode import MAX_PIXELS
from modules.postprocess.recent import RecentPictures

if TYPE_CHECKING:  # these carry torch
    import torch

    from modules.postprocess.network import Network

log = logging.getLogger(__name__)

NONE: Final = "None"
LANCZOS: Final = "Lanczos"
NEAREST: Final = "Nearest"
PIXEL_UPSCALERS: Final = (NONE, LANCZOS, NEAREST)
"""Those without a model; A1111's names."""

A1111_NAMES: Final[Mapping[str, str]] = {
    "RealESRGAN_x4plus": "R-ESRGAN 4x+",
    "RealESRGAN_x4plus_anime_6B": "R-ESRGAN 4x+ Anime6B",
    "RealESRGAN_x2plus": "R-ESRGAN 2x+",
    "realesr-general-x4v3": "R-ESRGAN General 4xV3",
    "realesr-general-wdn-x4v3": "R-ESRGAN General WDN 4xV3",
    "realesr-animevideov3": "R-ESRGAN AnimeVideo",
    "DAT_x2": "DAT x2",
    "DAT_x3": "DAT x3",
    "DAT_x4": "DAT x4",
}
"""What A1111 calls the files that these projects publish; a file's own name is understood too."""

USUAL_SCALE: Final = 4.0
"""What the list says of every upscaler, as A1111's does; only the file itself would know."""

USUAL_TILES: Final = ("ESRGAN_tile", "ESRGAN_tile_overlap")
TILES: Final[Mapping[str, tuple[str, str]]] = {
    "dat": ("DAT_tile", "DAT_tile_overlap"),
    "scunet": ("SCUNET_tile", "SCUNET_tile_overlap"),
    "swinir": ("SWIN_tile", "SWIN_tile_overlap"),
}
"""The settings of tiles, by a model's folder in lower case; the usual ones for all others."""

MOST_PASSES: Final = 4
_BYTES_PER_PIXEL: Final = 12288
"""Of a tile, that a network of usual width needs while it works; generously."""

OnTile = Callable[[int, int], None]
"""Called with (tiles done, tiles in all) of a pass; may raise to stop."""


class LendDevice(Protocol):
    """Who owns the device's memory: makes room for so many bytes and lends the device."""

    def __call__(self, size_bytes: int) -> AbstractContextManager[torch.device]:
        """Lend it until the block ends; may wait for others."""
        ...


class ModelFiles(Protocol):
    """Where model files are, and how their weights are read."""

    def paths(self) -> Sequence[Path]:
        """All files that may be upscalers, as they are on the disk now."""
        ...

    def check(self, path: Path) -> None:
        """Raise ModelError where the user does not allow this kind of file."""
        ...

    def read(self, path: Path) -> Mapping[str, Any]:
        """The weights, as they were saved. Raises ModelError."""
        ...


class NoFiles:
    """ModelFiles of a program without model files."""

    def paths(self) -> Sequence[Path]:
        """Nothing."""
        return ()

    def check(self, path: Path) -> None: ...

    def read(self, path: Path) -> Mapping[str, Any]:
        """Never called: there are no files."""
        raise NotFound("upscaler", path.stem, ())


@dataclass(frozen=True, slots=True)
class Upscaler:
    """One row of the list."""

    name: str
    path: Path | None = None
    """The model's file; None for those that need none."""
    scale: float = USUAL_SCALE


@dataclass(frozen=True, slots=True)
class _Kept:
    """The network that was used last, in RAM."""

    key: tuple[Path, int, int]
    network: Network


def _ignore(done: int, total: int) -> None:
    """Nobody wants to know."""


class Upscalers:
    """Finds upscalers and makes pictures larger with them. Safe to call from any thread."""

    def __init__(
        self,
        files: ModelFiles,
        lend: LendDevice,
        settings: Callable[[], Mapping[str, Any]] = known_settings,
    ) -> None:
        """settings: gives the user's, anew at each picture."""
        self._files = files
        self._lend = lend
        self._settings = settings
        self._lock = threading.Lock()
        self._kept: _Kept | None = None
        self._recent = RecentPictures()

    def rows(self) -> list[Upscaler]:
        """All upscalers, with the files that are there now."""
        found = {name.lower(): Upscaler(name) for name in PIXEL_UPSCALERS}
        for path in self._files.paths():
            name = A1111_NAMES.get(path.stem, path.stem)
            if name.lower() in found:
                name = f"{name} ({path.parent.name})"
            found.setdefault(name.lower(), Upscaler(name, path))
        return list(found.values())

    def names(self) -> list[str]:
        """Their names, in the order of menus."""
        return [row.name for row in self.rows()]

    def find(self, name: str) -> Upscaler:
        """The upscaler of that name, in any case; also by its file's name. Raises NotFound."""
        rows = self.rows()
        own = {row.path.stem.lower(): row for row in reversed(rows) if row.path}
        known = own | {row.name.lower(): row for row in rows}
        found = known.get((name or NONE).lower())
        if found is None:
            raise NotFound("upscaler", name, [row.name for row in rows])
        return found

    def check(self, name: str) -> str:
        """The name as the list has it. Raises NotFound, ModelError for a file that is refused."""
        found = self.find(name)
        if found.path is not None:
            self._files.check(found.path)
        return found.name

    def upscale(
        self,
        image: Image.Image,
        name: str,
        size: tuple[int, int],
        on_tile: OnTile = _ignore,
        settings: Mapping[str, Any] | None = None,
    ) -> Image.Image:
        """The picture at exactly `size` (width, height); modes L, LA, RGB and RGBA stay.

        Networks are applied until the picture covers the size, then Lanczos makes it fit. NONE
        is Lanczos here: whoever means "leave it" does not call. settings: the job's, in place of
        the user's. Raises NotFound, ModelError,
        BadInput for a picture that the network makes too large, and what `on_tile` raises.
        """
        upscaler = self.find(name)
        image = _plain(image)
        if upscaler.path is None:
            nearest = upscaler.name == NEAREST
            how = Image.Resampling.NEAREST if nearest else Image.Resampling.LANCZOS
            return image.resize(size, how)
        settings = self._settings() if settings is None else settings
        key = _key(image, upscaler.path, size, self._tiles(upscaler.path, settings))
        limit = int(settings["upscaling_max_images_in_cache"])
        made = self._recent.get(key) if limit else None
        if made is None:
            made = self._by_network(upscaler.path, image, size, settings, on_tile)
            self._recent.put(key, made, limit)
        return made.copy()

    def enlarge(self, image: Image.Image, name: str, factor: float) -> Image.Image:
        """The picture `factor` times larger; see `upscale`."""
        width, height = (max(int(side * factor), 1) for side in image.size)
        return self.upscale(image, name, (width, height))

    def unload(self) -> None:
        """Forget the network and the pictures that are kept."""
        with self._lock:
            self._kept = None
        self._recent.clear()

    def _tiles(self, path: Path, settings: Mapping[str, Any]) -> tuple[int, int]:
        """(tile, overlap) in pixels, as the settings of this kind of model say."""
        tile, overlap = TILES.get(path.parent.name.lower(), USUAL_TILES)
        return int(settings[tile]), int(settings[overlap])

    def _by_network(
        self,
        path: Path,
        image: Image.Image,
        size: tuple[int, int],
        settings: Mapping[str, Any],
        on_tile: OnTile,
    ) -> Image.Image:
        """The device is asked for before our own lock: a running job has the device already."""
        tile, overlap = self._tiles(path, settings)
        pixels = tile * tile if tile > 0 else image.width * image.height
        needed = 2 * path.stat().st_size + pixels * _BYTES_PER_PIXEL
        with self._lend(needed) as device, self._lock:
            import torch

            network = self._load(path)
            try:
                network.to(device)
                started = time.monotonic()
                for _ in range(MOST_PASSES):
                    _check_pixels(image, network.scale, path)
                    image = network.upscale(image, tile=tile, overlap=overlap, on_tile=on_tile)
                    if not _goes_on(image, size, network.scale):
                        break
                log.info("%s: %.1f s", path.name, time.monotonic() - started)
            finally:
                network.to(torch.device("cpu"))
        return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)

    def _load(self, path: Path) -> Network:
        stat = path.stat()
        key = path, stat.st_size, stat.st_mtime_ns
        if self._kept is None or self._kept.key != key:
            from modules.postprocess.network import load_network  # torch and spandrel

            self._kept = None
            started = time.monotonic()
            self._files.check(path)
            network = load_network(path, self._files.read(path))
            log.info("Loaded %s in %.1f s", path.name, time.monotonic() - started)
            self._kept = _Kept(key, network)
        return self._kept.network


def _plain(image: Image.Image) -> Image.Image:
    """One of the modes that can be resized and shown to a network."""
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _goes_on(image: Image.Image, size: tuple[int, int], scale: int) -> bool:
    """Whether another pass is wanted, and the picture would not become too large by it."""
    is_small = image.width < size[0] or image.height < size[1]
    return is_small and scale > 1 and image.width * image.height * scale**2 <= MAX_PIXELS


def _check_pixels(image: Image.Image, scale: int, path: Path) -> None:
    pixels = image.width * image.height * scale**2
    if pixels > MAX_PIXELS:
        made = f"{image.width * scale}x{image.height * scale}"
        allowed = (
            f"{path.stem} makes it {made} at first, at most {MAX_PIXELS / 1e6:g} million pixels"
        )
        raise BadInput("image", f"{image.width}x{image.height}", f"{allowed} are allowed")


def _key(
    image: Image.Image, path: Path, size: tuple[int, int], tiles: tuple[int, int]
) -> tuple[object, ...]:
    """What a result depends on."""
    stat = path.stat()
    digest = hashlib.sha256(image.tobytes()).digest()
    return digest, image.mode, image.size, path, stat.st_size, stat.st_mtime_ns, size, tiles
