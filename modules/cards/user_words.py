"""What users say of a model file: `name.json` and `name.preview.png` beside it, as in A1111."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from PIL import Image

from modules.cards.kinds import CardKind, Field
from modules.core.errors import BadInput, ModelError, OutOfSpace
from modules.images import encode_image
from modules.model_manager.library import FileCard, user_metadata_path

_LONGEST_TEXT: Final = 100_000


def save_user_words(kind: CardKind, file: FileCard, values: Mapping[str, Any]) -> None:
    """Write what the user filled in; keys of other programs in the file stay as they are.

    Raises BadInput for a key or value that the kind has not, ModelError where the present file is
    damaged and would be lost, OutOfSpace where it cannot be written.
    """
    fields = {field.key: field for field in kind.fields}
    checked = {}
    for key, value in values.items():
        if key not in fields:
            raise BadInput("values", key, f"allowed: {', '.join(fields)}")
        checked[key] = _check(fields[key], value)
    path = user_metadata_path(file.path)
    merged = {**_present(path), **checked}
    _write(path, json.dumps(merged, indent=4, ensure_ascii=False).encode())


def save_preview(file: FileCard, image: Image.Image, infotext: str) -> Path:
    """Make a picture the card's: `name.preview.png`, with its parameters. Raises OutOfSpace."""
    stem = file.path.name if file.path.is_dir() else file.path.stem
    path = file.path.with_name(f"{stem}.preview.png")
    _write(path, encode_image(image, "png", infotext))
    return path


def _check(field: Field, value: Any) -> Any:
    if field.widget == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadInput(field.key, value, "a number is expected")
        if not 0 <= value <= field.maximum:
            raise BadInput(field.key, value, f"allowed: 0 to {field.maximum:g}")
        return value
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise BadInput(field.key, value, f"a text of at most {_LONGEST_TEXT} letters is expected")
    if field.widget == "choice" and value not in field.choices:
        raise BadInput(field.key, value, f"allowed: {', '.join(field.choices)}")
    return value


def _present(path: Path) -> dict[str, Any]:
    """What the file says now."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = f"is damaged ({error}); move it away first, or what it holds would be lost."
        raise ModelError(path, reason) from error
    if not isinstance(values, dict):
        raise ModelError(path, "is no JSON object; move it away first, or it would be lost.")
    return values


def _write(path: Path, data: bytes) -> None:
    """Replace the file in one step, so that a full disk leaves the old one."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutOfSpace(f"{path} cannot be written: {error.strerror}") from error
