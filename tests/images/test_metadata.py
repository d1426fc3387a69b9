"""Texts in picture files, written and read back."""

import gzip
import io
import json
import logging
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import ExifTags, Image, PngImagePlugin

from modules.images import stealth
from modules.images.encode import encode_image
from modules.images.metadata import DigitalSource
from modules.images.metadata_read import ImageText, read

PLAIN = "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, Seed: 1"
LATIN = "crème brûlée, façade\nSteps: 20, Sampler: Euler a, Seed: 1"
UNICODE = "猫が好き 🐈‍⬛ “quoted”, ünï\nNegative prompt: собака\nSteps: 20, Seed: 1, Size: 64x64"
NOVELAI = {
    "Software": "NovelAI",
    "Description": "a {girl}",
    "Comment": json.dumps(
        {"steps": 28, "sampler": "k_dpmpp_2m", "scale": 11.0, "seed": 7, "uc": "bad", "sm": True}
    ),
}
NOVELAI_INFOTEXT = (
    "a (girl:1.05)\nNegative prompt: bad\nSteps: 28, Sampler: DPM++ 2M, CFG scale: 11, Seed: 7, "
    "Size: 24x16, Clip skip: 2, ENSD: 31337, Version: NovelAI"
)
DATA = Path(__file__).parents[1] / "data" / "infotext"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"


def picture() -> Image.Image:
    return Image.new("RGB", (24, 16), (10, 200, 30))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("format", ["png", "jpg", "jpeg", "webp", "avif", "gif"])
@pytest.mark.parametrize("infotext", [PLAIN, LATIN, UNICODE])
def test_infotext_survives_every_format(format: str, infotext: str) -> None:
    image = opened(encode_image(picture(), format, infotext))
    assert read(image) == ImageText(infotext, {})


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "avif", "gif"])
def test_no_infotext_reads_as_empty(format: str) -> None:
    assert read(opened(encode_image(picture(), format))) == ImageText()


def test_png_uses_text_chunk_for_latin_1_and_international_otherwise() -> None:
    assert b"tEXtparameters\x00cr" in encode_image(picture(), "png", LATIN)
    assert b"iTXtparameters\x00" in encode_image(picture(), "png", UNICODE)


def test_jpeg_comment_has_the_layout_of_piexif() -> None:
    data = encode_image(picture(), "jpg", UNICODE)
    assert b"\x92\x86\x00\x07" in data  # tag UserComment, type UNDEFINED, big-endian
    image = opened(data)
    comment = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert comment == b"UNICODE\x00" + UNICODE.encode("utf-16-be")


@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\x00" + UNICODE.encode("utf-16-be"),
        b"UNICODE\x00" + UNICODE.encode("utf-16-le"),
        b"\x00" * 8 + UNICODE.encode("utf-8"),
    ],
)
def test_comments_of_other_writers_are_read(comment: bytes) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    buffer = io.BytesIO()
    picture().save(buffer, "JPEG", exif=exif.tobytes())
    assert read(opened(buffer.getvalue())).infotext == UNICODE


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "avif"])
@pytest.mark.parametrize("source", list(DigitalSource))
def test_xmp_says_how_the_picture_was_made(format: str, source: DigitalSource) -> None:
    image = opened(encode_image(picture(), format, PLAIN, source=source))
    image.load()
    packet = image.info["xmp"]
    root = ElementTree.fromstring(packet if isinstance(packet, str) else packet.decode())
    (description,) = root.iter(f"{RDF}Description")
    address = f"http://cv.iptc.org/newscodes/digitalsourcetype/{source.value}"
    assert description.get(f"{IPTC}DigitalSourceType") == address


def test_no_source_writes_no_xmp() -> None:
    assert b"xmp" not in encode_image(picture(), "png", PLAIN, source=None)


def test_extra_texts_are_kept_in_png() -> None:
    data = encode_image(picture(), "png", PLAIN, extra={"postprocessing": "Upscale: 2"})
    assert read(opened(data)) == ImageText(PLAIN, {"postprocessing": "Upscale: 2"})


@pytest.mark.parametrize("format", ["png", "jpg", "webp"])
def test_text_that_no_file_can_hold_is_mended(format: str) -> None:
    data = encode_image(picture(), format, "a\x00b \ud800 c\nSteps: 1")
    assert read(opened(data)).infotext == "ab ? c\nSteps: 1"


def test_long_prompt_in_jpeg_is_cut_and_parameters_stay(caplog: pytest.LogCaptureFixture) -> None:
    line = "Steps: 20, Sampler: Euler a, Seed: 1"
    with caplog.at_level(logging.WARNING):
        data = encode_image(picture(), "jpg", "long, " * 10_000 + "\n" + line)
    infotext = read(opened(data)).infotext
    assert infotext.startswith("long, long, ")
    assert infotext.endswith("\n" + line)
    assert "EXIF holds 32000" in caplog.text


def test_novelai_is_told_as_an_infotext() -> None:
    info = PngImagePlugin.PngInfo()
    for key, value in NOVELAI.items():
        info.add_text(key, value)
    buffer = io.BytesIO()
    picture().save(buffer, "PNG", pnginfo=info)
    found = read(opened(buffer.getvalue()))
    assert found.infotext == NOVELAI_INFOTEXT
    assert (found.program, found.not_mapped) == ("NovelAI", ("SMEA",))
    assert found.items == NOVELAI


def test_broken_novelai_comment_counts_as_absent() -> None:
    image = picture()
    image.info.update({"Software": "NovelAI", "Comment": "{"})
    assert read(image) == ImageText("", {"Software": "NovelAI", "Comment": "{"})


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_graph_of_comfyui_is_found_in_exif(format: str) -> None:
    golden = json.loads((DATA / "comfyui-default.json").read_text(encoding="utf-8"))
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "workflow:{}"
    exif[ExifTags.Base.Model] = "prompt:" + json.dumps(golden["texts"]["prompt"])
    buffer = io.BytesIO()
    picture().save(buffer, format, exif=exif.tobytes())
    found = read(opened(buffer.getvalue()))
    assert found.program == "ComfyUI"
    assert "Sampler: Euler a, Schedule type: Normal, CFG scale: 8" in found.infotext


def test_infotext_beside_a_graph_counts() -> None:
    golden = json.loads((DATA / "comfyui-default.json").read_text(encoding="utf-8"))
    graph = json.dumps(golden["texts"]["prompt"])
    data = encode_image(picture(), "png", PLAIN, extra={"prompt": graph})
    assert read(opened(data)) == ImageText(PLAIN, {"prompt": graph})


@pytest.mark.parametrize("format", ["jpg", "webp", "avif"])
@pytest.mark.parametrize("name", ["easydiffusion-exif", "fooocus-json", "swarmui-refined"])
def test_json_in_the_comment_is_told_as_an_infotext(format: str, name: str) -> None:
    golden = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    text = json.dumps(golden["texts"]["parameters"])
    found = read(opened(encode_image(picture(), format, text)))
    assert found.program == golden["program"]
    assert found.infotext.split("\n") == golden["infotext"]
    assert found.items == {"parameters": text}


@pytest.mark.parametrize(
    ("description", "expected"), [(PLAIN, PLAIN), ("OLYMPUS DIGITAL CAMERA", "")]
)
def test_description_is_an_infotext_only_if_it_reads_like_one(
    description: str, expected: str
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = description
    buffer = io.BytesIO()
    picture().save(buffer, "JPEG", exif=exif.tobytes())
    assert read(opened(buffer.getvalue())).infotext == expected


def hide(text: bytes, signature: bytes, bits: int | None = None) -> Image.Image:
    """A picture with `text` in its alpha channel; `bits`: the length that it claims."""
    data = signature + (len(text) * 8 if bits is None else bits).to_bytes(4) + text
    image = Image.new("RGBA", (60, 50), (10, 200, 30, 255))
    numbers = [byte >> shift & 1 for byte in data for shift in range(7, -1, -1)]
    for place, number in enumerate(numbers):
        image.putpixel((place // 50, place % 50), (10, 200, 30, 254 | number))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return opened(buffer.getvalue())


def test_text_hidden_in_the_pixels_is_found() -> None:
    assert read(hide(UNICODE.encode(), stealth.PLAIN)) == ImageText(UNICODE)
    assert read(hide(gzip.compress(UNICODE.encode()), stealth.PACKED)) == ImageText(UNICODE)
    texts = gzip.compress(json.dumps(NOVELAI).encode())
    found = read(hide(texts, stealth.PACKED))
    assert (found.infotext.replace("60x50", "24x16"), found.items) == (NOVELAI_INFOTEXT, NOVELAI)


@pytest.mark.parametrize(
    ("text", "signature", "bits"),
    [
        (b"no gzip", stealth.PACKED, None),
        (b"\xff\xfe", stealth.PLAIN, None),
        (b"a cat", stealth.PLAIN, 2**32 - 1),
        (b"a cat", stealth.PLAIN, 0),
        (b"a cat", b"stealth_nothing", None),
    ],
)
def test_damaged_hidden_text_counts_as_absent(
    text: bytes, signature: bytes, bits: int | None
) -> None:
    assert read(hide(text, signature, bits)) == ImageText()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (3, 200)])
def test_small_pictures_hide_nothing(size: tuple[int, int]) -> None:
    assert read(Image.new("RGBA", size)) == ImageText()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # PIL says so, rightly
def test_damaged_exif_counts_as_absent() -> None:
    buffer = io.BytesIO()
    picture().save(buffer, "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7f")
    assert read(opened(buffer.getvalue())) == ImageText()


def test_png_that_is_cut_off_still_says_what_came_before_the_cut() -> None:
    data = encode_image(Image.effect_noise((64, 64), 90), "png", PLAIN)
    assert read(opened(data[: len(data) // 2])).infotext == PLAIN
