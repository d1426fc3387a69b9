"""The scripts of all extensions: which there are, what they take, and how a request's one runs."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from modules.core.errors import BadInput, EaselError, Interrupted, NotFound
from modules.extensions.arguments import Control, check_arguments
from modules.extensions.load import Extension, Loaded, load_scripts
from modules.extensions.script import Script
from modules.params.request import Kind, Request
from modules.processing.p import Processing
from modules.processing.processed import Processed

log = logging.getLogger(__name__)


T = TypeVar("T")

KINDS: Final = ("txt2img", "img2img")
"""The tabs that have scripts."""

ReadControls = Callable[[Script], Sequence[Control]]
"""Calls a script's `ui` outside a page and describes what it made."""


class ScriptHost:
    """Selectable scripts by tab; loaded when they are first asked for, or by `warm`."""

    def __init__(self, extensions: Sequence[Extension], read_controls: ReadControls) -> None:
        self.extensions = tuple(extensions)
        self._read_controls = read_controls
        self._lock = threading.RLock()
        self._found: Loaded | None = None

    @property
    def _loaded(self) -> Loaded:
        if self._found is None:
            with self._lock:
                self._found = self._found or load_scripts(self.extensions)
        return self._found

    @functools.cached_property
    def _tables(self) -> dict[str, tuple[Script, ...]]:
        return {kind: self.make(kind) for kind in KINDS}

    @functools.cached_property
    def _controls(self) -> dict[tuple[str, str | None], tuple[Control, ...]]:
        return {}

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """(file, why it could not be loaded) of each script that is not there."""
        return tuple((str(path), why) for path, why in self._loaded.failures)

    def make(self, kind: str) -> tuple[Script, ...]:
        """Fresh instances of the scripts that a tab shows, by title."""
        made = []
        for cls in self._loaded.scripts:
            script = cls()
            script.is_img2img = kind == "img2img"
            script.is_txt2img = not script.is_img2img
            script.name = script.title().lower()
            if script.show(script.is_img2img):
                made.append(script)
        return tuple(sorted(made, key=lambda one: str(one.name)))

    def warm(self) -> None:
        """Load all scripts and read what they take, so that no request waits; never raises."""
        try:
            scripts = [script for kind in KINDS for script in self.selectable(kind)]
        except Exception:  # whatever an extension's code does
            log.exception("The scripts cannot be listed")
            return
        for script in scripts:
            try:
                self.controls(script)
            except Exception:  # as above; the others go on
                log.exception("The controls of the script '%s' cannot be read", script.name)

    def selectable(self, kind: str) -> tuple[Script, ...]:
        """The scripts that a tab shows, by title."""
        return self._tables[kind]

    def find(self, kind: str, name: str) -> Script:
        """A script by its title, in any case. Raises NotFound."""
        for script in self.selectable(kind):
            if script.name == name.strip().lower():
                return script
        raise NotFound("script", name, [script.title() for script in self.selectable(kind)])

    def controls(self, script: Script) -> tuple[Control, ...]:
        """What a script takes, in order."""
        key = _key(script)
        with self._lock:
            if key not in self._controls:
                fresh = type(script)()
                fresh.is_img2img, fresh.is_txt2img = script.is_img2img, script.is_txt2img
                self._controls[key] = tuple(self._read_controls(fresh))
            return self._controls[key]

    def arguments(self, script: Script, given: Sequence[Any]) -> tuple[Any, ...]:
        """The arguments of `run`: those given, then the defaults. Raises BadInput for too many."""
        controls = self.controls(script)
        if len(given) > len(controls):
            names = ", ".join(control.label for control in controls)
            allowed = f"{script.title()} takes at most {len(controls)} arguments: {names}"
            raise BadInput("script_args", f"{len(given)} values", allowed)
        return (*given, *(control.value for control in controls[len(given) :]))

    def runner(self, request: Request) -> Callable[[Processing], Processed | None] | None:
        """The request's script, ready to run; None without one. Raises NotFound, BadInput."""
        if not request.script_name or request.script_name.lower() == "none":
            return None
        script = self.find(request.kind, request.script_name)
        arguments = self.arguments(script, request.script_args)
        return functools.partial(_run, script, arguments)

    def check(self, kind: Kind, name: str | None, given: Sequence[Any]) -> None:
        """Find out, before a job is queued, whether its script can take these arguments.

        Raises NotFound for an unknown script, BadInput for too many arguments, for one that its
        field cannot hold, and what the script itself says of them.
        """
        if not name or name.lower() == "none":
            return
        script = self.find(kind, name)
        arguments = self.arguments(script, given)
        try:
            check_arguments(self.controls(script), given)
        except BadInput:  # unless a menu has got new names since it was read
            self._forget_controls(script)
            check_arguments(self.controls(script), given)
        _guarded(script, functools.partial(script.check_arguments, *arguments))

    def _forget_controls(self, script: Script) -> None:
        with self._lock:
            self._controls.pop(_key(script), None)


def _key(script: Script) -> tuple[str, str | None]:
    return str(script.is_img2img), script.name


def _run(script: Script, arguments: Sequence[Any], p: Processing) -> Processed | None:
    return _guarded(script, functools.partial(script.run, p, *arguments))


def _guarded(script: Script, call: Callable[[], T]) -> T:
    """Raises what the script raises, with its title where it is a fault of the script."""
    try:
        return call()
    except (EaselError, Interrupted):
        raise
    except Exception as error:
        log.exception("The script %s failed", script.title())
        reason = f"{type(error).__name__}: {error}"
        raise EaselError(f"The script '{script.title()}' failed: {reason}") from error
