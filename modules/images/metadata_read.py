"""The text that a picture file carries: an infotext, or what other programs wrote in its place.

PNG: text chunks. JPEG, WebP, AVIF: EXIF UserComment, ImageDescription, and the tags into which
ComfyUI writes. GIF: comment. All: text hidden in the alpha channel. What the texts mean is
`params.foreign`'s.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import ExifTags, Image, PngImagePlugin

from modules.images.metadata import UNICODE, XMP_KEY
from modules.images.stealth import hidden_text
from modules.params.foreign import read_foreign
from modules.params.foreign.found import as_text, load_object

INFOTEXT_KEY: Final = "parameters"
_COMMENT_CODECS: Final = {b"ASCII\x00\x00\x00": "ascii", b"JIS\x00\x00\x00\x00\x00": "shift_jis"}
_NOT_TEXT: Final = frozenset({"exif", "xmp", "icc_profile", XMP_KEY})
_NAMED_JSON: Final = re.compile(r"\s*(prompt|workflow)\s*:\s*(\{.*)", re.IGNORECASE | re.DOTALL)
_DESCRIBES: Final = re.compile(r"\s*\{|(^|\n|, )Steps: \d")
"""A description that is parameters, not a camera's."""

_EXIF_DAMAGE: Final = (OSError, SyntaxError, ValueError, KeyError, TypeError)
"""What PIL's EXIF parser raises for a damaged block."""


@dataclass(frozen=True, slots=True)
class ImageText:
    """What a file says: `infotext` ("" if none) and its other texts by key."""

    infotext: str = ""
    items: dict[str, str] = field(default_factory=dict)
    program: str = ""
    """The other program whose metadata became the infotext; "" for an infotext as it stood."""
    not_mapped: tuple[str, ...] = ()
    """What that program said and an infotext cannot, in words for the user."""


def read(image: Image.Image) -> ImageText:
    """Read the texts of an opened file; a picture made in memory has none.

    Other programs' layouts are turned into an infotext, where none stands beside them. Broken
    metadata counts as absent.
    """
    texts = _text_items(image) | _exif_texts(image)
    if comment := _gif_comment(image):
        texts.setdefault(INFOTEXT_KEY, comment)
    if not texts:
        texts = _hidden_texts(image)
    is_infotext = not texts.get(INFOTEXT_KEY, "{").lstrip().startswith("{")
    found = None if is_infotext else read_foreign(texts, image.size)
    if found is not None:
        return ImageText(found.infotext, texts, found.program, tuple(found.not_mapped))
    infotext = texts.pop(INFOTEXT_KEY, "")
    return ImageText(infotext, texts)


def _text_items(image: Image.Image) -> dict[str, str]:
    """Texts by key; PNG's come after the pixels too, so PIL reads the file to its end."""
    texts: dict[Any, Any] = dict(image.info)
    if isinstance(image, PngImagePlugin.PngImageFile):
        with suppress(OSError, SyntaxError, ValueError):  # a file cut off: keep what came before
            texts = dict(image.text)
    return {
        str(key): str(value)
        for key, value in texts.items()
        if isinstance(value, str) and key not in _NOT_TEXT
    }


def _exif_texts(image: Image.Image) -> dict[str, str]:
    """UserComment, or a description that is parameters, as the infotext; ComfyUI's graphs."""
    texts: dict[str, str] = {}
    try:
        exif = image.getexif()
        for value in [value for value in exif.values() if isinstance(value, str)]:
            if named := _NAMED_JSON.match(value):
                texts[named[1].lower()] = named[2].rstrip("\x00")
        description = exif.get(ExifTags.Base.ImageDescription)
        comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    except _EXIF_DAMAGE:
        return texts
    if isinstance(comment, bytes):
        comment = _decode_comment(comment)
    if isinstance(comment, str) and comment.strip("\x00 "):
        texts[INFOTEXT_KEY] = comment
    elif isinstance(description, str) and _DESCRIBES.search(description) and not texts:
        texts[INFOTEXT_KEY] = description
    return texts


def _decode_comment(comment: bytes) -> str:
    """UserComment with its 8-byte code (EXIF 2.32, 4.6.5); writers disagree on byte order."""
    code, text = comment[:8], comment[8:]
    if code == UNICODE:
        high_first = text[0::2].count(0) >= text[1::2].count(0)
        decoded = text.decode("utf-16-be" if high_first else "utf-16-le", "replace")
    else:
        decoded = text.decode(_COMMENT_CODECS.get(code, "utf-8"), "replace")
    return decoded.rstrip("\x00")


def _gif_comment(image: Image.Image) -> str:
    comment = image.info.get("comment") if image.format == "GIF" else None
    return comment.decode("utf-8", "replace") if isinstance(comment, bytes) else ""


def _hidden_texts(image: Image.Image) -> dict[str, str]:
    """Text hidden in the alpha channel: an infotext, or NovelAI's texts as one JSON object."""
    text = hidden_text(image)
    texts = load_object(text)
    if texts is None:
        return {INFOTEXT_KEY: text} if text else {}
    return {as_text(key): value for key, value in texts.items() if isinstance(value, str)}
