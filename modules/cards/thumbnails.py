"""Small pictures of the cards: made once, kept as WebP in the cache folder."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps

from modules.core.errors import UnsupportedImage
from modules.images.decode import MAX_PIXELS
from modules.model_manager.library import FileCard

log = logging.getLogger(__name__)

SIDE: Final = 400
"""Longest side in pixels: a card's twice, for dense screens."""
_QUALITY: Final = 80
_AT_ONCE: Final = 2
"""Pictures decoded at the same time; each may fill some hundred MB."""
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "AVIF", "GIF")
_DAMAGE: Final = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, RuntimeError)
"""What PIL's readers raise for damaged files."""


class Thumbnails:
    """Makes and remembers them; safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        """`folder` may be emptied at any time."""
        self._folder = folder
        self._slots = threading.Semaphore(_AT_ONCE)

    def of(self, file: FileCard) -> bytes | None:
        """The card's picture as WebP, None where it has none.

        Raises UnsupportedImage where the file beside the model is no picture.
        """
        if file.preview is None:
            return None
        try:
            stat = file.preview.stat()
        except OSError:
            return None
        words = f"{file.preview}\0{stat.st_mtime_ns}\0{stat.st_size}\0{SIDE}"
        kept = self._folder / f"{hashlib.sha256(words.encode()).hexdigest()[:40]}.webp"
        with suppress(OSError):
            return kept.read_bytes()
        with self._slots:
            data = shrink(file.preview)
        self._keep(kept, data)
        return data

    def _keep(self, kept: Path, data: bytes) -> None:
        """A full disk only means that it is made again next time."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".new")
            with os.fdopen(handle, "wb") as out:
                out.write(data)
            Path(name).replace(kept)
        except OSError as error:
            log.debug("Cannot keep a thumbnail: %s", error)


def shrink(path: Path) -> bytes:
    """A picture file as a small WebP, the first frame of an animation; nothing of its metadata.

    Raises UnsupportedImage for what is no picture, is damaged, or is far too large.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnsupportedImage("preview", path.name, "the picture is too large")
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            upright = ImageOps.exif_transpose(image)
            small = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
        small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3)
        out = io.BytesIO()
        small.save(out, "WEBP", quality=_QUALITY)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnsupportedImage("preview", path.name, "the picture is too large") from error
    except _DAMAGE as error:
        raise UnsupportedImage("preview", path.name, f"it is no picture ({error})") from error
    return out.getvalue()
