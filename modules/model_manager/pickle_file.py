"""Reading pickled weights (`.ckpt`, `.pt`, `.pth`, `.bin`) without ever running their code.

A pickle is a program. It is opened only where the user allows pickles at all, only by torch's
restricted reader, and only in another process (`pickle_worker.py`), which hands the tensors over
in a temporary safetensors file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch

from modules.core.errors import ModelError
from modules.model_manager.check import PICKLES, check_pickle
from modules.model_manager.pickle_worker import STRUCTURE
from modules.model_manager.tensor_archive import NotPlain, is_archive, read_archive
from modules.model_manager.tensor_file import read_tensors
from modules.model_manager.tensor_header import TensorFile, open_tensors

__all__ = [
    "PICKLES",
    "converted",
    "converted_checkpoint",
    "opened",
    "read_pickle",
    "read_small",
    "read_state_dict",
]

_LEAST_S: Final = 120
_BYTES_PER_S: Final = 10_000_000
"""A conversion that is slower than this is given up."""


def read_pickle(path: Path, *, allowed: bool) -> Any:
    """What was pickled: dicts, lists, tuples, numbers, text and tensors (CPU); others are None.

    `allowed` is the value of the setting `allow_pickles`. Raises ModelError where it is False,
    where the file holds code, and where it cannot be read.
    """
    with converted(path, allowed=allowed) as file:
        tensors = read_tensors(file, file.entries, torch.device("cpu"))
        return _rebuild(json.loads(file.metadata[STRUCTURE]), tensors.__getitem__)


def read_small(path: Path, *, allowed: bool) -> Any:
    """`read_pickle`, but an archive of nothing but containers and tensors needs no permission.

    It is read as data, without unpickling. Raises ModelError as `read_pickle`, and names what
    the file holds beyond data where that is why it needs permission.
    """
    reason = "is an old pickle, from before torch 1.6"
    try:
        if is_archive(path):
            return read_archive(path)
    except OSError as error:
        raise ModelError(path, f"cannot be read ({error.strerror or error}).") from error
    except NotPlain as error:
        reason = f"holds more than data ({error})"
    try:
        return read_pickle(path, allowed=allowed)
    except ModelError as error:
        raise ModelError(path, f"{reason}; it {error.reason}") from error


def read_state_dict(path: Path, *, allowed: bool) -> dict[str, torch.Tensor]:
    """The named tensors of a pickle, those under `state_dict` where there is one.

    Raises ModelError as `read_pickle`, and where there are no named tensors.
    """
    content = read_pickle(path, allowed=allowed)
    named = {key: value for key, value in _state(path, content).items()
             if isinstance(value, torch.Tensor)}  # fmt: skip
    if not named:
        raise ModelError(path, "holds no named tensors.")
    return named


@contextmanager
def opened(path: Path, *, allowed: bool) -> Iterator[TensorFile]:
    """A safetensors file, or a pickle as one, for as long as its tensors are read.

    Raises ModelError where it is neither, or damaged, or a pickle that is not allowed.
    """
    if path.suffix.lower() in PICKLES:
        with converted_checkpoint(path, allowed=allowed) as file:
            yield file
    else:
        yield open_tensors(path)


@contextmanager
def converted_checkpoint(path: Path, *, allowed: bool) -> Iterator[TensorFile]:
    """The pickle's state dict as an open safetensors file; it is deleted afterwards."""
    with converted(path, allowed=allowed) as file:
        names = _rebuild(json.loads(file.metadata[STRUCTURE]), _Name)
        state = _state(path, names)
        entries = {
            key: file.entries[value] for key, value in state.items() if isinstance(value, _Name)
        }
        yield TensorFile(path, entries, {})


@contextmanager
def converted(path: Path, *, allowed: bool) -> Iterator[TensorFile]:
    """All tensors of the pickle, numbered, as an open safetensors file; deleted afterwards."""
    check_pickle(path, allowed=allowed)
    with tempfile.TemporaryDirectory(prefix="easel-pickle-") as folder:
        out = Path(folder) / "tensors.safetensors"
        _convert(path, out)
        yield open_tensors(out)


class _Name(str):
    """The name of a tensor in the converted file, told from other text by its type."""

    __slots__ = ()


def _convert(path: Path, out: Path) -> None:
    worker = Path(__file__).with_name("pickle_worker.py")
    try:
        limit_s = _LEAST_S + path.stat().st_size / _BYTES_PER_S
        done = subprocess.run(
            [sys.executable, "-I", str(worker), str(path.resolve()), str(out)],
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except OSError as error:
        raise ModelError(path, f"cannot be read ({error.strerror or error}).") from error
    except subprocess.TimeoutExpired as error:
        raise ModelError(path, f"could not be converted in {error.timeout:.0f} s.") from error
    try:
        reply = json.loads(done.stdout)
    except ValueError:
        reply = {"error": f"could not be converted (the reader ended with {done.returncode})."}
    if "error" in reply:
        raise ModelError(path, reply["error"])


def _state(path: Path, content: Any) -> Mapping[str, Any]:
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise ModelError(path, "holds no named tensors.")
    return {key: value for key, value in content.items() if isinstance(key, str)}


def _rebuild(described: Any, tensor: Callable[[str], Any]) -> Any:
    """The value that `pickle_worker.Writer.describe` described."""
    kind, content = described
    match kind:
        case "tensor":
            return tensor(content)
        case "dict":
            return {key: _rebuild(item, tensor) for key, item in content}
        case "list":
            return [_rebuild(item, tensor) for item in content]
        case "tuple":
            return tuple(_rebuild(item, tensor) for item in content)
        case _:
            return content
