"""The text that a picture file is given: infotext, and the mark that it was made by a model.

PNG: tEXt or iTXt chunk `parameters`. JPEG, WebP, AVIF: EXIF UserComment. GIF: comment.
All but GIF: an XMP packet with IPTC's DigitalSourceType. `metadata_read` reads it back. Knows
nothing of the infotext's grammar.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from PIL import ExifTags, PngImagePlugin

log = logging.getLogger(__name__)

UNICODE: Final = b"UNICODE\x00"
_EXIF_LIMIT_CHARS: Final = 32_000
"""An EXIF block holds 65,535 bytes at most; the text in it takes two bytes a character."""
_LONG: Final = 4
_UNDEFINED: Final = 7
XMP_KEY: Final = "XML:com.adobe.xmp"


class DigitalSource(StrEnum):
    """How a picture came to be (IPTC NewsCodes, digitalsourcetype)."""

    GENERATED = "trainedAlgorithmicMedia"
    COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
    ENHANCED = "algorithmicallyEnhanced"


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
        info.add_itxt(XMP_KEY, xmp_packet(source))
    return info


def _exif(infotext: str) -> bytes:
    """An EXIF block with nothing but UserComment, laid out as piexif does (EXIF 2.32, 4.5).

    Written by hand because PIL gives UserComment the type BYTE, which piexif, and so A1111,
    does not take for text; and big-endian, so that every reader agrees on the text's order.
    """
    comment = UNICODE + _fitted(infotext).encode("utf-16-be")
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
