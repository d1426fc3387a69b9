"""The newest upscaled pictures, so that a second try with another mix need not wait again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from PIL import Image

MOST_BYTES: Final = 512 << 20
"""Of all kept pictures together, whatever their number."""


class RecentPictures:
    """Pictures by what they were made of; the oldest go first. Safe to use from any thread."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._pictures: OrderedDict[tuple[object, ...], Image.Image] = OrderedDict()

    def get(self, key: tuple[object, ...]) -> Image.Image | None:
        """The picture; None where it is not kept."""
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
            return self._pictures.get(key)

    def put(self, key: tuple[object, ...], picture: Image.Image, limit: int) -> None:
        """Keep a picture, and at most `limit` in all."""
        with self._lock:
            self._pictures[key] = picture
            while len(self._pictures) > limit or self._bytes() > self._most_bytes:
                self._pictures.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._pictures.clear()

    def _bytes(self) -> int:
        return sum(one.width * one.height * len(one.getbands()) for one in self._pictures.values())
