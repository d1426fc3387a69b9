"""The text that a picture file carries: infotext, and the mark that it was made by a model.

PNG: tEXt or iTXt chunk `parameters`. JPEG, WebP, AVIF: EXIF UserComment. GIF: comment.
All but GIF: an XMP packet with IPTC's DigitalSourceType. Knows nothing of the infotext's grammar.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from PIL import ExifTags, Image, PngImagePlugin

from modules.images import novelai

log = logging.getLogger(__name__)

_UNICODE: Final = b"UNICODE\x00"
_COMMENT_CODECS: Final = {b"ASCII\x00\x00\x00": "ascii", b"JIS\x00\x00\x00\x00\x00": "shift_jis"}
_EXIF_LIMIT_CHARS: Final = 32_000
"""An EXIF block holds 65,535 bytes at most; the text in it takes two bytes a character."""
_LONG: Final = 4
_UNDEFINED: Final = 7
_XMP_KEY: Final = "XML:com.adobe.xmp"
_NOT_TEXT: Final = frozenset({"exif", "xmp", "icc_profile", _XMP_KEY})


class DigitalSource(StrEnum):
    """How a picture came to be (IPTC NewsCodes, digitalsourcetype)."""

    GENERATED = "trainedAlgorithmicMedia"
    COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
    ENHANCED = "algorithmicallyEnhanced"


@dataclass(frozen=True, slots=True)
class ImageText:
    """What a file says: `infotext` ("" if none) and its other texts by key."""

    infotext: str = ""
    items: dict[str, str] = field(default_factory=dict)


def metadata_arguments(
    pil_format: str,
    infotext: str = "",
    *,
    extra: Mapping[str, str] | None = None,
    source: DigitalSource | None = DigitalSource.GENERATED,
) -> dict[str, object]:
    """The keyword arguments with which `Image.save` writes these texts.

    pil_format: PNG, JPEG, WEBP, AVIF or GIF. extra: more text chunks, kept in PNG only.
    """
    infotext = _storable(infotext)
    if pil_format == "PNG":
        return {"pnginfo": _png_info(infotext, extra or {}, source)}
    if pil_format == "GIF":
        return {"comment": infotext.encode()} if infotext else {}
    arguments: dict[str, object] = {}
    if infotext:
        arguments["exif"] = _exif(infotext)
    if source is not None:
        arguments["xmp"] = xmp_packet(source).encode()
    return arguments


def read(image: Image.Image) -> ImageText:
    """Read the texts of an opened file; a picture made in memory has none.

    NovelAI's own layout is turned into an infotext. Broken metadata counts as absent.
    """
    items = _text_items(image)
    infotext = items.pop("parameters", "")
    if not infotext:
        infotext = _user_comment(image) or _gif_comment(image)
    if not infotext and novelai.is_novelai(items):
        infotext = novelai.infotext(items, image.size)
    return ImageText(infotext, items)


def xmp_packet(source: DigitalSource) -> str:
    """An XMP packet that says only how the picture was made (IPTC Photo Metadata 2023.1)."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about=""'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        " Iptc4xmpExt:DigitalSourceType="
        f'"http://cv.iptc.org/newscodes/digitalsourcetype/{source.value}"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )


def _storable(text: str) -> str:
    """`text` without what no container can hold: NUL and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _png_info(
    infotext: str, extra: Mapping[str, str], source: DigitalSource | None
) -> PngImagePlugin.PngInfo:
    """PIL writes tEXt where Latin-1 is enough and iTXt otherwise, as A1111's files have it."""
    info = PngImagePlugin.PngInfo()
    if infotext:
        info.add_text("parameters", infotext)
    for key, value in extra.items():
        info.add_text(key, _storable(value))
    if source is not None:
        info.add_itxt(_XMP_KEY, xmp_packet(source))
    return info


def _exif(infotext: str) -> bytes:
    """An EXIF block with nothing but UserComment, laid out as piexif does (EXIF 2.32, 4.5).

    Written by hand because PIL gives UserComment the type BYTE, which piexif, and so A1111,
    does not take for text; and big-endian, so that every reader agrees on the text's order.
    """
    comment = _UNICODE + _fitted(infotext).encode("utf-16-be")
    header = struct.pack(">6s2sHI", b"Exif\x00\x00", b"MM", 42, 8)
    first = struct.pack(">HHHIII", 1, ExifTags.IFD.Exif, _LONG, 1, 26, 0)
    second = struct.pack(">HHHIII", 1, ExifTags.Base.UserComment, _UNDEFINED, len(comment), 44, 0)
    return header + first + second + comment


def _fitted(infotext: str) -> str:
    """Shorten the prompt, never the parameter line, to what EXIF can hold."""
    size = len(infotext.encode("utf-16-be")) // 2
    if size <= _EXIF_LIMIT_CHARS:
        return infotext
    log.warning("The infotext has %d characters; EXIF holds %d", size, _EXIF_LIMIT_CHARS)
    head, _, tail = infotext.rpartition("\n")
    tail = tail[-_EXIF_LIMIT_CHARS // 4 :]
    return f"{head[: _EXIF_LIMIT_CHARS // 4]}\n{tail}"


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


def _user_comment(image: Image.Image) -> str:
    try:
        comment = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError):
        return ""  # PIL's EXIF parser met a damaged block
    if isinstance(comment, str):
        return comment
    return _decode_comment(comment) if isinstance(comment, bytes) else ""


def _decode_comment(comment: bytes) -> str:
    """UserComment with its 8-byte code (EXIF 2.32, 4.6.5); writers disagree on byte order."""
    code, text = comment[:8], comment[8:]
    if code == _UNICODE:
        high_first = text[0::2].count(0) >= text[1::2].count(0)
        decoded = text.decode("utf-16-be" if high_first else "utf-16-le", "replace")
    else:
        decoded = text.decode(_COMMENT_CODECS.get(code, "utf-8"), "replace")
    return decoded.rstrip("\x00")


def _gif_comment(image: Image.Image) -> str:
    comment = image.info.get("comment") if image.format == "GIF" else None
    return comment.decode("utf-8", "replace") if isinstance(comment, bytes) else ""
