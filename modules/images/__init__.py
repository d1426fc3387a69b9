"""Pictures: reading, resizing, grids, names, saving with their texts. PIL only."""

from modules.images.decode import decode_base64, decode_image
from modules.images.encode import FORMATS, encode_image, image_format
from modules.images.flatten import flatten
from modules.images.grid import grid_rows, image_grid
from modules.images.metadata import DigitalSource
from modules.images.metadata_read import ImageText, read
from modules.images.naming import NameFields
from modules.images.numbering import next_number
from modules.images.resize import ResizeMode, resize_image
from modules.images.save import save_image, save_jpeg_copy, write_text

__all__ = [
    "FORMATS",
    "DigitalSource",
    "ImageText",
    "NameFields",
    "ResizeMode",
    "decode_base64",
    "decode_image",
    "encode_image",
    "flatten",
    "grid_rows",
    "image_format",
    "image_grid",
    "next_number",
    "read",
    "resize_image",
    "save_image",
    "save_jpeg_copy",
    "write_text",
]
