"""Save and zip: the pictures that the user keeps, copied from a job's result."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any, Final

from modules.core.errors import BadInput
from modules.core.paths import Paths
from modules.core.settings import SettingsView
from modules.images.encode import encode_image
from modules.images.numbering import claim_name
from modules.processing.result import Result

LOG_COLUMNS: Final = (
    "prompt",
    "seed",
    "width",
    "height",
    "sampler",
    "cfgs",
    "steps",
    "filename",
    "negative_prompt",
)
"""Header of log.csv, as A1111 1.10 writes it."""


def save_picture(result: Result | None, index: int, settings: SettingsView, paths: Paths) -> str:
    """Copy picture `index` into the folder of kept pictures and note it in its log.csv.

    Returns a sentence for the user. Raises BadInput when there is no such picture, OSError when
    the folder cannot be written.
    """
    if result is None or not 0 <= index < len(result.images):
        raise BadInput("picture", index, "there is no picture to save")
    folder = paths.output(settings["outdir_save"])
    folder.mkdir(parents=True, exist_ok=True)
    name, data = _file(result, index)
    with claim_name(folder, Path(name).stem, Path(name).suffix[1:], replace=False) as claim:
        claim.part.write_bytes(data)
    if settings["save_write_log_csv"]:
        _log(folder / "log.csv", _row(result, index, claim.path.name))
    return f"Saved as {claim.path}."


def zip_pictures(result: Result) -> bytes:
    """All pictures of a result as the bytes of a zip archive, under different names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for index in range(len(result.images)):
            name, data = _file(result, index)
            known = name in archive.namelist()
            archive.writestr(f"{index:03}-{name}" if known else name, data)
    return buffer.getvalue()


def _file(result: Result, index: int) -> tuple[str, bytes]:
    """Name and bytes of a picture: those of its file where it has one."""
    path = result.paths[index]
    if path and path.is_file():
        return path.name, path.read_bytes()
    seed = _of_picture(result, "all_seeds", index, "grid")
    return f"{seed}.png", encode_image(result.images[index], "png", result.infotexts[index])


def _row(result: Result, index: int, filename: str) -> list[Any]:
    image, info = result.images[index], result.info
    return [
        _of_picture(result, "all_prompts", index, info.get("prompt", "")),
        _of_picture(result, "all_seeds", index, info.get("seed", "")),
        image.width,
        image.height,
        info.get("sampler_name", ""),
        info.get("cfg_scale", ""),
        info.get("steps", ""),
        filename,
        _of_picture(result, "all_negative_prompts", index, info.get("negative_prompt", "")),
    ]


def _of_picture(result: Result, key: str, index: int, otherwise: Any) -> Any:
    """The entry of a picture in one of info's lists, which leave out the grids."""
    values = result.info.get(key) or []
    place = index - result.index_of_first_image
    return values[place] if 0 <= place < len(values) else otherwise


def _log(file: Path, row: list[Any]) -> None:
    is_new = not file.exists()
    with file.open("a", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        if is_new:
            writer.writerow(LOG_COLUMNS)
        writer.writerow(row)
