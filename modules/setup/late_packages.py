"""Packages of other projects whose `__init__` runs when one of its names is first asked for.

A UNet and a VAE need few of diffusers' files, but each of these packages imports all of its own
from its `__init__`: every transformer, every autoencoder, every hook, while what
is needed is named by its own file (`…transformers.transformer_2d`). scipy.stats is imported by all
of diffusers' schedulers for one of their schedules. Nothing is taken away: `from package import
name`, `package.name` and `dir(package)` run the `__init__` first, then answer as ever.

The standard library's LazyLoader does this for modules; for a package it would run the `__init__`
at the import of the first module below it. `install()` imports nothing.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import threading
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Final

PACKAGES: Final = {
    "diffusers.hooks": True,
    "diffusers.models.autoencoders": True,
    "diffusers.models.transformers": True,
    "scipy.stats": False,
}
"""Names, and whether the modules below may be imported while the `__init__` waits."""
_HELD_BACK: Final = "_easel_held_back"
"""Where a waiting package keeps the attributes that it shows only once it runs."""


def install(packages: Mapping[str, bool] = PACKAGES) -> None:
    """Put the import hook in place; a second call does nothing, nor do packages imported before."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(packages))


class _LatePackage(ModuleType):
    """A package that knows where it lies, and runs its `__init__` when asked for more."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__dict__[_HELD_BACK] = {}

    def __getattr__(self, name: str) -> Any:
        # What inspection asks of any module is no reason to run it.
        if name.startswith("__") and name != "__all__" and name not in self.__dict__[_HELD_BACK]:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        _run(self)
        return getattr(self, name)

    def __dir__(self) -> list[str]:
        _run(self)
        return sorted(self.__dict__)


class _Finder(importlib.abc.MetaPathFinder):
    """Gives the packages a loader that waits."""

    def __init__(self, packages: Mapping[str, bool]) -> None:
        self._packages = packages

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self._packages:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None and spec.submodule_search_locations:
            spec.loader = _LateLoader(spec.loader, has_free_parts=self._packages[name])
        return spec


class _LateLoader(importlib.abc.Loader):
    """Makes the package without running it."""

    def __init__(self, loader: importlib.abc.Loader, *, has_free_parts: bool) -> None:
        self._loader = loader
        self._has_free_parts = has_free_parts
        self._lock = threading.RLock()
        self._is_running = False

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return _LatePackage(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing yet; without a path, the import of a module below asks for it and so runs it."""
        if not self._has_free_parts:
            module.__dict__[_HELD_BACK]["__path__"] = module.__dict__.pop("__path__")

    def run(self, module: ModuleType) -> None:
        """Run the `__init__`, once; another thread waits, a failed run may be tried again.

        Raises AttributeError inside a run, as any half-initialised module does.
        """
        with self._lock:
            if type(module) is not _LatePackage:
                return  # another thread was first
            if self._is_running:
                raise AttributeError(f"{module.__name__} is not initialised yet")
            self._is_running = True
            module.__dict__.update(module.__dict__[_HELD_BACK])
            try:
                self._loader.exec_module(module)
                module.__class__ = ModuleType  # type: ignore[assignment]
            finally:
                self._is_running = False

    def __getattr__(self, name: str) -> Any:
        """Everything else a loader may be asked for (resources, sources) is the real one's."""
        return getattr(self._loader, name)


def _run(module: ModuleType) -> None:
    loader = module.__spec__.loader if module.__spec__ else None
    if isinstance(loader, _LateLoader):
        loader.run(module)
