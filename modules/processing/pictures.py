"""The pictures that img2img starts from: from base64 text to PIL, checked as they come."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from modules.core.errors import BadInput
from modules.images import decode_base64
from modules.images.decode import MAX_PIXELS
from modules.params.img2img import Img2ImgParams


@dataclass(frozen=True, slots=True)
class Sources:
    """What an img2img batch is made from; any sizes and modes."""

    images: tuple[Image.Image, ...]
    """One for all pictures of the batch, or one for each."""
    mask: Image.Image | None = None
    latent_mask: Image.Image | None = None


def read_sources(params: Img2ImgParams) -> Sources:
    """The pictures of a request; all of init_images together may be as large as one picture.

    Raises BadInput, UnsupportedImage naming the parameter.
    """
    if not params.init_images:
        raise BadInput("init_images", params.init_images, "a picture to start from is needed")
    images: list[Image.Image] = []
    left = MAX_PIXELS
    for place, text in enumerate(params.init_images):
        image = decode_base64(text, field=f"init_images.{place}", max_pixels=left)
        left -= image.width * image.height
        images.append(image)
    mask = _optional(params.mask, "mask")
    return Sources(tuple(images), mask, _optional(params.latent_mask, "latent_mask"))


def _optional(text: str | None, field: str) -> Image.Image | None:
    return decode_base64(text, field=field) if text else None
