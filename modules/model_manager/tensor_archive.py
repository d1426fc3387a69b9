"""Small torch archives (`.pt`) read as data: the pickle inside is listed, never unpickled.

torch's zip archives hold one pickle of containers, and each tensor's bytes as a file of its own.
The pickle's instructions are walked by `pickletools` and only those that build plain containers and
tensors are understood; names are compared as text, nothing is imported and nothing is called. That
is why embeddings and hypernetworks in this format need no permission (Easel's own rule).
"""

from __future__ import annotations

import math
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from modules.core.errors import ModelError

MAX_BYTES: Final = 2**30
"""A larger archive is a checkpoint, no embedding."""
MAX_PICKLE_BYTES: Final = 2**22
STORAGES: Final[Mapping[str, torch.dtype]] = {
    "torch DoubleStorage": torch.float64,
    "torch FloatStorage": torch.float32,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
}
REBUILD_TENSOR: Final = "torch._utils _rebuild_tensor_v2"
REBUILD_PARAMETER: Final = "torch._utils _rebuild_parameter"
ORDERED_DICT: Final = "collections OrderedDict"
_VALUES: Final = frozenset(
    {"BININT", "BININT1", "BININT2", "BINFLOAT", "LONG1"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"}
)
_CONSTANTS: Final[Mapping[str, Any]] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: Final[Mapping[str, Callable[[], Any]]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK: Final = object()


class NotPlain(Exception):
    """The archive asks for more than containers and tensors, or is damaged; says what."""


@dataclass(frozen=True, slots=True)
class _Name:
    """A class or function that the pickle names; only ever compared."""

    text: str


@dataclass(frozen=True, slots=True)
class _Storage:
    dtype: torch.dtype
    data: bytes


def is_archive(path: Path) -> bool:
    """Whether the file is a zip archive of torch's, by its first bytes."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def read_archive(path: Path) -> Any:
    """Dicts, lists, tuples, numbers, text and CPU tensors of an archive of at most 1 GiB.

    Raises NotPlain where it holds anything else, ModelError where it cannot be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise NotPlain("it is larger than an embedding or hypernetwork can be")
        with zipfile.ZipFile(path) as archive:
            return _Reader(archive).read()
    except OSError as error:
        raise ModelError(path, f"cannot be read ({error.strerror or error}).") from error
    except (zipfile.BadZipFile, NotImplementedError, KeyError, RuntimeError) as error:
        raise ModelError(path, f"is damaged: {error}.") from error


class _Reader:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise NotPlain("it is no archive of torch's")
        self._pickle = names[0]
        self._folder = names[0].removesuffix("data.pkl")
        self._left = MAX_BYTES
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def read(self) -> Any:
        code = self._file(self._pickle, MAX_PICKLE_BYTES)
        try:
            with warnings.catch_warnings():  # damaged text holds odd escapes
                warnings.simplefilter("ignore", DeprecationWarning)
                return self._walk(code)
        except (ValueError, IndexError, TypeError, AttributeError, struct.error) as error:
            raise NotPlain(f"its contents are damaged ({error})") from error

    def _walk(self, code: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(code):
            if opcode.name == "STOP":
                return self._stack[-1]
            self._step(opcode.name, argument)
        raise NotPlain("it ends too early")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            stack.append(tuple(self._pop(_TUPLES[name])))
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self._memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            if int(argument) not in self._memo:
                raise NotPlain("it refers to what it does not hold")
            stack.append(self._memo[int(argument)])
        elif name == "GLOBAL":
            stack.append(_Name(argument))
        elif name not in ("PROTO", "FRAME"):
            self._build(name)

    def _build(self, name: str) -> None:
        stack = self._stack
        match name:
            case "MARK":
                stack.append(_MARK)
            case "TUPLE":
                stack.append(tuple(self._pop_to_mark()))
            case "APPEND":
                value = stack.pop()
                _as_list(stack[-1]).append(value)
            case "APPENDS":
                values = self._pop_to_mark()
                _as_list(stack[-1]).extend(values)
            case "SETITEM":
                key, value = self._pop(2)
                _as_dict(stack[-1])[key] = value
            case "SETITEMS":
                values = self._pop_to_mark()
                _as_dict(stack[-1]).update(zip(values[::2], values[1::2], strict=True))
            case "STACK_GLOBAL":
                module, attribute = self._pop(2)
                stack.append(_Name(f"{module} {attribute}"))
            case "BINPERSID":
                stack.append(self._storage(stack.pop()))
            case "BUILD":  # attributes of an OrderedDict, as torch's `state_dict()` has them
                stack.pop()
                _as_dict(stack[-1])
            case "REDUCE":
                function, arguments = self._pop(2)
                stack.append(_made(function, arguments))
            case _:
                raise NotPlain(f"it holds the instruction {name}")

    def _pop(self, count: int) -> list[Any]:
        values = self._stack[-count:]
        if len(values) < count:
            raise NotPlain("it takes more than it holds")
        del self._stack[-count:]
        return values

    def _pop_to_mark(self) -> list[Any]:
        place = len(self._stack) - 1 - self._stack[::-1].index(_MARK)
        values = self._stack[place + 1 :]
        del self._stack[place:]
        return values

    def _storage(self, identity: Any) -> _Storage:
        """The bytes that ("storage", class, key, device, count) names."""
        kind, storage, key, _device, count = identity
        dtype = STORAGES.get(storage.text) if isinstance(storage, _Name) else None
        if kind != "storage" or dtype is None:
            raise NotPlain(f"it holds {getattr(storage, 'text', storage)}")
        data = self._file(f"{self._folder}data/{key}", count * dtype.itemsize)
        if len(data) != count * dtype.itemsize:
            raise NotPlain(f"tensor {key} is cut off")
        return _Storage(dtype, data)

    def _file(self, name: str, most: int) -> bytes:
        size = self._archive.getinfo(name).file_size
        self._left -= size
        if size > most or self._left < 0:
            raise NotPlain(f"{name} is larger than it says")
        return self._archive.read(name)


def _made(function: Any, arguments: Any) -> Any:
    """What the few known functions would make of their arguments."""
    name = function.text if isinstance(function, _Name) else "a call of what it has built"
    if name == ORDERED_DICT and arguments == ():
        return {}
    if name == REBUILD_PARAMETER:
        return arguments[0]
    if name == REBUILD_TENSOR:
        storage, offset, shape, stride = arguments[:4]
        return _tensor(storage, offset, shape, stride)
    raise NotPlain(f"it calls {name.replace(' ', '.')}")


def _tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]
) -> torch.Tensor:
    if not isinstance(storage, _Storage) or any(n < 0 for n in (offset, *shape, *stride)):
        raise NotPlain("it holds a tensor of impossible shape")
    count = len(storage.data) // storage.dtype.itemsize
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if 0 in shape or not count:
        return torch.empty(shape, dtype=storage.dtype)
    if last >= count or math.prod(shape) > count:
        raise NotPlain("it holds a tensor that is larger than its bytes")
    flat = torch.frombuffer(bytearray(storage.data), dtype=storage.dtype)
    return flat.as_strided(shape, stride, offset).clone()


def _as_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise NotPlain("it appends to what is no list")
    return value


def _as_dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise NotPlain("it fills what is no dict")
    return value
