"""Pictures from outside, honest and hostile."""

import base64
import io
import struct
import zlib

import pytest
from PIL import Image

from modules.core.errors import UnsupportedImage
from modules.images import read
from modules.images.decode import decode_base64, decode_image, measure_base64
from modules.images.encode import encode_image

INFOTEXT = "a fox\nSteps: 1, Sampler: Euler, Seed: 42"
PICTURE = Image.merge("RGB", [Image.effect_noise((40, 30), 80) for _ in range(3)])
PNG = encode_image(PICTURE, "png", INFOTEXT)
BASE64 = base64.b64encode(PNG).decode()


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "avif", "gif"])
def test_own_formats_come_back_with_their_text(format: str) -> None:
    image = decode_image(encode_image(PICTURE, format, INFOTEXT))
    assert image.size == (40, 30)
    assert read(image).infotext == INFOTEXT


@pytest.mark.parametrize("format", ["BMP", "TIFF"])
def test_other_formats_are_read(format: str) -> None:
    assert decode_image(saved(PICTURE, format)).tobytes() == PICTURE.tobytes()


@pytest.mark.parametrize(
    "text",
    [
        BASE64,
        f"data:image/png;base64,{BASE64}",
        f"DATA:image/png;name=x.png;base64,{BASE64}",
        f"data:;base64,{BASE64}",
        "\n".join(BASE64[i : i + 76] for i in range(0, len(BASE64), 76)) + "\n",
        BASE64.rstrip("="),
    ],
)
def test_base64_is_read_in_every_spelling(text: str) -> None:
    assert decode_base64(text).tobytes() == PICTURE.tobytes()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'nothing' cannot be used; a PNG"),
        ("data:image/png;base64,", "'nothing'"),
        ("not base64!", "base64"),
        ("é" * 40, "base64"),
        ("AAAA", "a PNG, JPEG"),
        ("http://example.com/a.png", "base64"),
    ],
)
def test_text_that_is_no_picture_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UnsupportedImage, match=reason) as caught:
        decode_base64(text, field="init_images")
    assert caught.value.field == "init_images"
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "avif", "gif"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_file_that_is_cut_off_is_refused(format: str, part: float) -> None:
    data = encode_image(PICTURE, format, source=None)
    with pytest.raises(UnsupportedImage, match="image: "):
        decode_image(data[: int(len(data) * part)])


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"<svg/>", b"%!PS-Adobe-3.0 EPSF", PNG[1:]])
def test_bytes_that_are_no_picture_are_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedImage, match="a PNG, JPEG, WebP"):
        decode_image(data)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animation_is_refused_with_its_frames(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), (i * 60, 0, 0)) for i in range(3)]
    data = saved(frames[0], format, save_all=True, append_images=frames[1:])
    with pytest.raises(UnsupportedImage, match=f"{format} with 3 frames.*still picture"):
        decode_image(data)


def test_camera_jpeg_with_a_second_picture_is_no_animation() -> None:
    data = saved(PICTURE, "MPO", save_all=True, append_images=[PICTURE.resize((8, 8))])
    assert decode_image(data).size == (40, 30)


def test_too_many_pixels_are_refused_before_they_are_loaded() -> None:
    with pytest.raises(UnsupportedImage, match=r"40x30.*0\.001 million"):
        decode_image(PNG, max_pixels=1000)


def test_bomb_that_claims_huge_sides_is_refused() -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))
    with pytest.raises(UnsupportedImage, match="million pixels"):
        decode_image(data)


def test_text_bomb_is_refused() -> None:
    data = PNG[:-12]
    body = b"k\x00\x00" + zlib.compress(b"x" * 70_000_000, 1)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body
    bomb = data + chunk + struct.pack(">I", zlib.crc32(b"zTXt" + body)) + PNG[-12:]
    with pytest.raises(UnsupportedImage, match="damaged: Decompressed data too large"):
        decode_image(bomb)


def test_damaged_avif_is_refused() -> None:
    """PIL's AVIF reader raises a bare RuntimeError where others raise OSError."""
    data = encode_image(PICTURE, "avif").replace(b"av01", b"av02", 1)
    with pytest.raises(UnsupportedImage):
        decode_image(data)


def test_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(PICTURE, "JPEG", exif=exif.tobytes())
    image = decode_image(data)
    assert image.size == (30, 40)
    assert image.getexif().get(0x0112) is None


def test_sixteen_bits_become_eight_without_clipping() -> None:
    wide = Image.frombytes("I;16", (256, 1), struct.pack("<256H", *(i * 257 for i in range(256))))
    image = decode_image(saved(wide, "PNG"))
    assert image.mode == "L"
    assert image.tobytes() == bytes(range(256))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_measured_size_is_the_decoded_ones(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    Image.new("RGB", (40, 24)).save(data, format, exif=exif)
    text = base64.b64encode(data.getvalue()).decode()
    assert measure_base64(text) == decode_base64(text).size


def test_what_is_no_picture_cannot_be_measured() -> None:
    with pytest.raises(UnsupportedImage, match="start: '9 bytes'"):
        measure_base64(base64.b64encode(b"no pixels").decode(), field="start")
