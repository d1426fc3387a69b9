"""Makes torchvision importable beside a CPU-only torch, and basicsr beside a new torchvision.

PyPI's Linux torchvision wheel links to CUDA's libraries. Beside a CPU-only torch its `_C.so`
cannot be loaded, and `import torchvision` dies with "operator torchvision::nms does not exist".
All that Easel needs of it is plain Python, so it is enough to declare the missing operators
before torchvision registers its own stand-ins for them. nms gets a real, slow kernel; without
are then deform_conv2d and torchvision.io.read_image. Where `_C.so` loads nothing is changed.

basicsr 1.4.2 imports `torchvision.transforms.functional_tensor`, gone since torchvision 0.17.

`install()` imports neither torch nor torchvision; the rest happens when they are imported.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias

Tensor: TypeAlias = Any
"""torch.Tensor; this folder cannot name it, because torch may not be installed yet."""

_MISSING: Final = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_FUNCTIONAL_TENSOR: Final = "torchvision.transforms.functional_tensor"


def install() -> None:
    """Put the import hook in place; a second call, or one after torchvision, does nothing."""
    if "torchvision" in sys.modules or any(isinstance(f, _Finder) for f in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Wraps torchvision's loader, and supplies the module that basicsr misses."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in ("torchvision", _FUNCTIONAL_TENSOR):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if name == _FUNCTIONAL_TENSOR:
            return spec or importlib.machinery.ModuleSpec(name, _FunctionalTensorLoader())
        if spec is not None and spec.loader is not None and spec.submodule_search_locations:
            spec.loader = _TorchvisionLoader(spec.loader, Path(spec.submodule_search_locations[0]))
        return spec


class _TorchvisionLoader(importlib.abc.Loader):
    """Declares the operators, then lets torchvision's own loader run."""

    def __init__(self, loader: importlib.abc.Loader, folder: Path) -> None:
        self._loader = loader
        self._folder = folder

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        library = _declare_operators(self._folder)
        self._loader.exec_module(module)
        if library is not None:
            # torch drops the operators with the library, so the module keeps it alive.
            module._easel_operators = library  # type: ignore[attr-defined]
            boxes: Any = sys.modules["torchvision.ops.boxes"]
            boxes._assert_has_ops = _has_ops

    def __getattr__(self, name: str) -> Any:
        """Everything else a loader may be asked for (resources, sources) is the real one's."""
        return getattr(self._loader, name)


class _FunctionalTensorLoader(importlib.abc.Loader):
    """`functional_tensor` with the one function that basicsr takes from it."""

    def exec_module(self, module: ModuleType) -> None:
        functional: Any = importlib.import_module("torchvision.transforms.functional")
        module.rgb_to_grayscale = functional.rgb_to_grayscale  # type: ignore[attr-defined]


def _has_ops() -> None:
    """Takes the place of torchvision's check: our nms stands in for the C++ one."""


def _declare_operators(folder: Path) -> Any:
    """Declare what `_C` would if it cannot be loaded; the library that holds it, else None."""
    torch: Any = importlib.import_module("torch")  # torchvision is about to import it anyway
    if torch.version.cuda is not None or getattr(torch.version, "hip", None) is not None:
        return None
    binaries = [p for p in folder.glob("_C.*") if p.suffix in (".so", ".pyd", ".dylib")]
    if not binaries or any(_loads(torch, path) for path in binaries):
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in _MISSING:
        library.define(operator)
    library.impl("nms", _nms, "CPU")
    return library


def _loads(torch: Any, path: Path) -> bool:
    """Whether the extension loads; torchvision loads it once more, which does no harm."""
    try:
        torch.ops.load_library(str(path))
    except (ImportError, OSError):
        return False
    return True


def _nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Greedy non-maximum suppression, as torchvision.ops.nms documents it.

    dets: (N, 4) as x1, y1, x2, y2. scores: (N,). Returns int64 indices by falling score.
    """
    torch: Any = importlib.import_module("torch")
    order = scores.argsort(descending=True, stable=True)
    x1, y1, x2, y2 = dets.unbind(1)
    area = (x2 - x1) * (y2 - y1)
    kept = []
    while order.numel():
        best, rest = order[0], order[1:]
        kept.append(best)
        width = (torch.minimum(x2[best], x2[rest]) - torch.maximum(x1[best], x1[rest])).clamp(min=0)
        height = (torch.minimum(y2[best], y2[rest]) - torch.maximum(y1[best], y1[rest])).clamp(
            min=0
        )
        shared = width * height
        order = rest[shared / (area[best] + area[rest] - shared) <= iou_threshold]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.int64, device=dets.device)
