"""Text in the lowest bits of the alpha channel, as NovelAI and some extensions hide it.

Layout (NovelAI/novelai-image-metadata, MIT): alpha values column by column, one bit of each; a
signature of 15 bytes, the length in bits as 32 bits, then the text, gzipped or plain UTF-8.
"""

from __future__ import annotations

import zlib
from typing import Final

from PIL import Image

PACKED: Final = b"stealth_pngcomp"
PLAIN: Final = b"stealth_pnginfo"
MAX_BYTES: Final = 16 * 1024 * 1024
"""Longest text that is unpacked."""

_HEADER_BITS: Final = (len(PACKED) + 4) * 8
_DIGITS: Final = bytes(ord("1") if value & 1 else ord("0") for value in range(256))
_GZIP: Final = 16 + zlib.MAX_WBITS


def hidden_text(image: Image.Image) -> str:
    """The text that hides in `image`; "" if there is none, or it is damaged."""
    if image.mode not in ("RGBA", "LA"):
        return ""
    try:
        alpha = image.getchannel("A")
    except (OSError, SyntaxError, ValueError):  # the file is cut off
        return ""
    head = _bits(_columns(alpha, -(-_HEADER_BITS // max(1, alpha.height))), _HEADER_BITS)
    signature, length = head[: len(PACKED)], int.from_bytes(head[len(PACKED) :])
    if signature not in (PACKED, PLAIN) or not 0 < length <= alpha.width * alpha.height:
        return ""
    data = _bits(_columns(alpha, alpha.width), _HEADER_BITS + length)[_HEADER_BITS // 8 :]
    try:
        if signature == PACKED:
            data = zlib.decompressobj(_GZIP).decompress(data, MAX_BYTES)
        return data[:MAX_BYTES].decode("utf-8")
    except (zlib.error, UnicodeDecodeError):
        return ""


def _columns(alpha: Image.Image, count: int) -> bytes:
    """The first columns from top to bottom, one after another."""
    part = alpha.crop((0, 0, min(count, alpha.width), alpha.height))
    return part.transpose(Image.Transpose.TRANSPOSE).tobytes()


def _bits(values: bytes, count: int) -> bytes:
    """The lowest bits of the first `count` values, eight to a byte, the first one highest."""
    count = min(count, len(values)) // 8 * 8
    digits = values[:count].translate(_DIGITS)
    return int(digits, 2).to_bytes(count // 8) if digits else b""
