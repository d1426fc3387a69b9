"""Pictures that the page hands over: gradio's file descriptions to checked pictures.

Gradio itself has made sure that the files lie in its upload folder.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from modules.core.errors import BadInput
from modules.images import decode_image


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a picture field holds: the picture, and what was drawn on it."""

    picture: Image.Image
    layers: tuple[Image.Image, ...] = field(default=())
    """RGBA, of the picture's size."""


def read_drawing(value: Any, name: str) -> Drawing:
    """The contents of a gr.Image or gr.ImageEditor; `name` is the parameter that errors name.

    Raises BadInput where the field is empty, UnsupportedImage for what cannot be read.
    """
    if not isinstance(value, Mapping):
        raise BadInput(name, "nothing", "a picture is needed: drop one on the field")
    if "path" in value:
        return Drawing(read_file(value, name))
    if not value.get("background"):
        raise BadInput(name, "nothing", "a picture is needed: drop one on the field")
    layers = [read_file(layer, name) for layer in value.get("layers") or () if layer]
    return Drawing(read_file(value["background"], name), tuple(layers))


def read_file(value: Mapping[str, Any], name: str) -> Image.Image:
    """The picture in an uploaded file. Raises UnsupportedImage, BadInput naming `name`."""
    return decode_image(_read(value, name), field=name)


def _read(value: Mapping[str, Any], name: str) -> bytes:
    path = Path(str(value.get("path")))
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(name, path.name, "the uploaded file is gone; load it again") from error


def read_base64(value: Mapping[str, Any], name: str) -> str:
    """An uploaded file as it is, in base64, unread. Raises BadInput naming `name`."""
    return base64.b64encode(_read(value, name)).decode("ascii")


def to_base64(image: Image.Image) -> str:
    """The picture's pixels as PNG in base64; transparency stays, texts do not."""
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
