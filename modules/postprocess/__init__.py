"""Finished pictures made larger: upscalers, and the chain of the extras tab. Loads no torch."""

from modules.postprocess.chain import Upscaling, upscale_picture
from modules.postprocess.upscalers import (
    NONE,
    PIXEL_UPSCALERS,
    ModelFiles,
    NoFiles,
    Upscaler,
    Upscalers,
)

__all__ = [
    "NONE",
    "PIXEL_UPSCALERS",
    "ModelFiles",
    "NoFiles",
    "Upscaler",
    "Upscalers",
    "Upscaling",
    "upscale_picture",
]
