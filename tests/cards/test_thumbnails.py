"""Small pictures of large ones, of broken ones, and of what is none."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.cards import Shelf, Thumbnails
from modules.cards.thumbnails import SIDE, shrink
from modules.core.errors import UnsupportedImage

Put = Callable[..., Path]


@pytest.mark.parametrize("picture", [".preview.png", ".jpg", ".webp"])
def test_picture_is_made_small(
    put: Put, shelf: Shelf, lora: Any, tmp_path: Path, picture: str
) -> None:
    put("a", picture=picture)
    data = Thumbnails(tmp_path / "cache").of(shelf.find(lora, "a.safetensors"))
    image = Image.open(io.BytesIO(data or b""))
    assert (image.format, image.size) == ("WEBP", (SIDE, 267))
    red, green, blue = image.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
    assert red > 240 and 150 < green < 180 and blue < 20


def test_picture_is_made_once_and_anew_when_it_changes(
    put: Put, shelf: Shelf, lora: Any, tmp_path: Path
) -> None:
    preview = put("a", picture=".png").with_suffix(".png")
    small = Thumbnails(tmp_path / "cache")
    card = shelf.find(lora, "a.safetensors")
    first = small.of(card)
    kept = list((tmp_path / "cache").iterdir())
    assert len(kept) == 1 and kept[0].read_bytes() == first
    kept[0].write_bytes(b"kept")
    assert small.of(card) == b"kept"
    Image.new("RGB", (10, 10), "blue").save(preview)
    os.utime(preview, ns=(1, 1))
    assert small.of(card) not in (first, b"kept")


def test_card_without_picture_has_none(put: Put, shelf: Shelf, lora: Any, tmp_path: Path) -> None:
    preview = put("a", picture=".png").with_suffix(".png")
    put("b")
    small = Thumbnails(tmp_path / "cache")
    assert small.of(shelf.find(lora, "b.safetensors")) is None
    card = shelf.find(lora, "a.safetensors")
    preview.unlink()
    assert small.of(card) is None


def test_cache_that_cannot_be_written_does_no_harm(
    put: Put, shelf: Shelf, lora: Any, tmp_path: Path
) -> None:
    put("a", picture=".png")
    (tmp_path / "cache").write_text("a file, not a folder")
    assert Thumbnails(tmp_path / "cache").of(shelf.find(lora, "a.safetensors"))


def test_animation_shows_its_first_frame_and_transparency_stays(tmp_path: Path) -> None:
    frames = [Image.new("RGBA", (9, 9), colour) for colour in ("#ff000080", "blue")]
    path = tmp_path / "a.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    image = Image.open(io.BytesIO(shrink(path)))
    pixel = image.convert("RGBA").getpixel((4, 4))
    assert isinstance(pixel, tuple) and pixel[0] > 240 and 100 < pixel[3] < 150


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for data in (b"", b"<svg/>", b"\x89PNG\r\n\x1a\n" + bytes(50)):
        path.write_bytes(data)
        with pytest.raises(UnsupportedImage):
            shrink(path)


def test_picture_of_a_million_by_a_million_is_refused_unread(tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 1_000_000, 1_000_000, 8, 2, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b""))
    with pytest.raises(UnsupportedImage, match="too large"):
        shrink(path)
