"""Saving pictures: where, under which name, and never half a file."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from PIL import Image

from modules.core.errors import OutOfSpace
from modules.images.encode import encode_image, image_format
from modules.images.metadata import DigitalSource
from modules.images.naming import NameFields, file_stem, folder_path, safe_component, safe_text
from modules.images.numbering import Claim, claim_name, claim_number

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def save_image(
    image: Image.Image,
    folder: Path,
    *,
    fields: NameFields,
    pattern: str = "",
    directory_pattern: str = "",
    format: str = "png",
    infotext: str = "",
    quality: int = 80,
    lossless: bool = False,
    basename: str = "",
    suffix: str = "",
    numbered: bool = True,
    replace: bool = True,
    text_file: bool = False,
    extra: Mapping[str, str] | None = None,
    source: DigitalSource | None = DigitalSource.GENERATED,
) -> Path:
    """Write `image` under `folder` as `00007-<pattern>.png`, and return its path.

    pattern: file name; "" means `[seed]`, or `[seed]-[prompt_spaces]` without sub-folders, or
    nothing after a basename (A1111 1.10 behaviour). directory_pattern: sub-folder, such as
    `[date]`. basename: put before a four-digit number (`grid-0000`). suffix: put at the end.
    numbered: False names the file by the pattern alone; `replace` then says whether it may
    take the place of an older one or gets `-1`. text_file: also write the infotext as .txt.
    Raises OutOfSpace when the disk is full, OSError when the folder cannot be written.
    Safe from several threads and programs at once.
    """
    data = encode_image(
        image, format, infotext, quality, lossless=lossless, extra=extra, source=source
    )
    extension = image_format(format).extension
    target = folder / folder_path(directory_pattern, fields, image)
    if not pattern and not basename:
        pattern = "[seed]" if directory_pattern else "[seed]-[prompt_spaces]"
    stem = file_stem(pattern, fields, image)
    tail = safe_text(suffix)
    try:
        target.mkdir(parents=True, exist_ok=True)
        claimed: AbstractContextManager[Claim]
        if numbered or not stem + tail:
            rest = f"-{stem}{tail}.{extension}" if stem else f"{tail}.{extension}"
            claimed = claim_number(target, rest, basename=safe_component(basename))
        else:
            claimed = claim_name(target, stem + tail, extension, replace=replace)
        with claimed as claim:
            claim.part.write_bytes(data)
        if text_file and infotext:
            write_text(claim.path.with_suffix(".txt"), f"{infotext}\n")
    except OSError as error:
        if error.errno in _FULL:
            raise OutOfSpace(
                f"The disk is full: a picture could not be saved in {target}"
            ) from error
        raise
    return claim.path


def save_jpeg_copy(
    image: Image.Image,
    path: Path,
    *,
    max_side: int,
    infotext: str = "",
    quality: int = 80,
    source: DigitalSource | None = DigitalSource.GENERATED,
) -> Path:
    """Write `image` beside the file `path` as .jpg, with no side longer than `max_side` pixels.

    Replaces an older one. Raises OutOfSpace when the disk is full, OSError.
    """
    if max(image.size) > max_side:
        image = image.copy()
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    data = encode_image(image, "jpg", infotext, quality, source=source)
    try:
        with claim_name(path.parent, path.stem, "jpg", replace=True) as claim:
            claim.part.write_bytes(data)
    except OSError as error:
        if error.errno in _FULL:
            raise OutOfSpace(
                f"The disk is full: a copy could not be saved in {path.parent}"
            ) from error
        raise
    return claim.path


def write_text(path: Path, text: str) -> None:
    """Write a small text file whole or not at all, replacing an older one. UTF-8."""
    with claim_name(path.parent, path.stem, path.suffix[1:], replace=True) as claim:
        claim.part.write_text(text, encoding="utf-8", errors="replace", newline="\n")
