"""The program that opens a pickle in a process of its own: `pickle_worker.py IN OUT`.

Only torch's restricted reader (`weights_only`) ever touches the file: it knows tensors, numbers,
text and containers, and refuses every other class or function by name. What it read is written to
OUT as safetensors, the containers around the tensors as JSON in its metadata. Prints one JSON
object: {} or {"error": words}. Imports nothing of Easel, so that nothing of it is in reach.
"""

from __future__ import annotations

import errno
import json
import pickle
import re
import struct
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""The safetensors names of the formats that it can hold."""

STRUCTURE = "easel.structure"
"""Metadata key of the containers."""


class Nothing:
    """Stands for objects of training programs that lie in old checkpoints; keeps no state."""

    def __init__(self, *args: Any) -> None:
        """Whatever it is given."""

    def __setstate__(self, state: Any) -> None:
        """Forget it."""


HARMLESS = (
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
)
"""Names in published checkpoints that are replaced with Nothing; the real ones are not called."""


class Writer:
    """Collects tensors and describes the containers that hold them."""

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}

    def describe(self, value: Any) -> Any:
        """JSON for `value`: [kind, content]; what is neither container nor plain becomes null."""
        if isinstance(value, torch.Tensor):
            if value.dtype not in NAMES or value.layout != torch.strided:
                return ["value", None]
            name = str(len(self.tensors))
            self.tensors[name] = value.detach()
            return ["tensor", name]
        if isinstance(value, Mapping):
            rows = [[key, self.describe(item)] for key, item in value.items() if _is_plain(key)]
            return ["dict", rows]
        if isinstance(value, list | tuple):
            kind = "list" if isinstance(value, list) else "tuple"
            return [kind, [self.describe(item) for item in value]]
        return ["value", value if _is_plain(value) else None]

    def write(self, out: Path, structure: Any) -> None:
        """Write everything, tensor by tensor, so that memory stays small."""
        header: dict[str, Any] = {"__metadata__": {STRUCTURE: json.dumps(structure)}}
        end = 0
        for name, tensor in self.tensors.items():
            start, end = end, end + tensor.numel() * tensor.element_size()
            header[name] = {
                "dtype": NAMES[tensor.dtype],
                "shape": list(tensor.shape),
                "data_offsets": [start, end],
            }
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with out.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for tensor in self.tensors.values():
                raw = tensor.contiguous().flatten().view(torch.uint8)
                file.write(memoryview(raw.numpy()))  # type: ignore[arg-type]


def load(path: Path) -> Any:
    """What the file holds; mapped where its format allows it."""
    torch.serialization.add_safe_globals([(Nothing, name) for name in HARMLESS])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # torch's format before 1.6 cannot be mapped
            return torch.load(path, map_location="cpu", weights_only=True)


def reason(error: Exception) -> str:
    """Words for a file that cannot be read."""
    named = re.search(r"(?:Unsupported global|Unsupported class|GLOBAL) (\S+)", str(error))
    if named:
        return f"holds code ({named[1].strip(':,.')}), which was not run, so it is not loaded."
    # torch seeks to before the beginning of a short file that was cut off
    if isinstance(error, OSError) and error.errno != errno.EINVAL:
        return f"cannot be read ({error.strerror or error})."
    return "is no pickle of tensors, or is damaged."


def main(source: Path, out: Path) -> dict[str, str]:
    """Convert; the reply says what went wrong."""
    try:
        content = load(source)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError,
            AttributeError, TypeError, IndexError, ImportError) as error:  # fmt: skip
        return {"error": reason(error)}
    writer = Writer()
    try:
        structure = writer.describe(content)
        writer.write(out, structure)
    except RecursionError:
        return {"error": "is nested too deeply."}
    except OSError as error:
        return {"error": f"could not be converted ({error.strerror or error})."}
    return {}


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
