"""A small JPEG beside a picture that is too large for many web sites."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from modules.images.encode import encode_image
from modules.images.flatten import flatten
from modules.images.numbering import claim_name
from modules.images.resize import resize_image


def save_small_copy(
    image: Image.Image,
    path: Path,
    *,
    threshold_mb: float = 4.0,
    target_side: int = 4000,
    quality: int = 80,
    infotext: str = "",
) -> Path | None:
    """Write `<stem>.jpg` beside the saved `path` if that is large; its path, or None.

    Large is a file over `threshold_mb` MiB or a side over `target_side` pixels; a copy's
    longer side then has `target_side` pixels (A1111's "save copy of large images as JPG").
    """
    longest = max(image.size)
    is_heavy = path.stat().st_size > threshold_mb * 1024 * 1024
    if (longest <= target_side and not is_heavy) or path.suffix.lower() in (".jpg", ".jpeg"):
        return None
    copy = flatten(image)
    if longest > target_side:
        width = max(image.width * target_side // longest, 1)
        height = max(image.height * target_side // longest, 1)
        copy = resize_image(copy, width, height)
    data = encode_image(copy, "jpg", infotext, quality)
    with claim_name(path.parent, path.stem, "jpg", replace=True) as claim:
        claim.part.write_bytes(data)
    return claim.path
