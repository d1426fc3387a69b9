"""Finds extensions and loads their scripts. A broken one is reported, and the others go on."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from modules.core.paths import Paths
from modules.extensions.script import Script
from modules.setup.flags import Flags

log = logging.getLogger(__name__)

OWN_PREFIX: Final = "easel-"
"""How the names of the extensions begin that come with the program."""


@dataclass(frozen=True, slots=True)
class Extension:
    """A folder in `extensions`."""

    name: str
    folder: Path
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the scripts of all extensions gave."""

    scripts: tuple[type[Script], ...]
    failures: tuple[tuple[Path, str], ...]
    """(file, why it could not be loaded)."""


def find_extensions(folders: Iterable[Path], disabled: Iterable[str] = ()) -> list[Extension]:
    """The extensions in `folders`, by name; of two with one name the first folder's counts."""
    off = {name.lower() for name in disabled}
    found: dict[str, Extension] = {}
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_dir() and not path.name.startswith((".", "_")):
                row = Extension(path.name, path, path.name.lower() not in off)
                found.setdefault(path.name.lower(), row)
    return [found[name] for name in sorted(found)]


def allowed_extensions(paths: Paths, flags: Flags) -> list[Extension]:
    """The extensions of this run: all, or fewer where the command line says so."""
    if flags.disable_all_extensions:
        return []
    if flags.disable_extra_extensions:
        own = find_extensions([paths.root / "extensions"])
        return [row for row in own if row.name.lower().startswith(OWN_PREFIX)]
    return find_extensions(paths.extensions)


def load_scripts(extensions: Iterable[Extension]) -> Loaded:
    """Import `scripts/*.py` of the enabled extensions and collect the classes in them."""
    scripts: list[type[Script]] = []
    failures: list[tuple[Path, str]] = []
    for extension in extensions:
        if not extension.is_enabled:
            continue
        for path in sorted((extension.folder / "scripts").glob("*.py")):
            try:
                scripts += _classes(_import(path, extension))
            except Exception as error:  # whatever a foreign file does when it is imported
                log.exception("%s of %s cannot be loaded", path.name, extension.name)
                failures.append((path, f"{type(error).__name__}: {error}"))
    return Loaded(tuple(scripts), tuple(failures))


def _import(path: Path, extension: Extension) -> ModuleType:
    """Run a script's file; the extension's own folder can be imported from, now and later."""
    folder = str(extension.folder)
    if folder not in sys.path:
        sys.path.append(folder)
    name = f"easel_extensions.{extension.name}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _classes(module: ModuleType) -> Iterator[type[Script]]:
    for value in vars(module).values():
        is_own = isinstance(value, type) and value.__module__ == module.__name__
        if is_own and issubclass(value, Script) and value is not Script:
            value.filename = str(module.__file__)
            yield value
