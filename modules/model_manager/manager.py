"""Which model is loaded: one user at a time, and a failed load leaves the one before usable.

Importing this file loads no torch; the first load does, so that the page need not wait for it.
"""

from __future__ import annotations

import functools
import gc
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from modules.core.errors import EaselError, ModelError, NoModel, NotFound
from modules.model_manager.catalogue import FOLDER_MARK, Catalogue
from modules.model_manager.choice import ModelChoice, ResolvedChoice
from modules.model_manager.hashes import Stamp, stamp_of
from modules.model_manager.state import ModelState, Progress
from modules.model_manager.vae import VaeCatalogue

if TYPE_CHECKING:  # these carry torch
    import torch

    from modules.model_manager.device import DeviceChoice
    from modules.pipelines.base import Pipeline
    from modules.pipelines.sd import StableDiffusion

log = logging.getLogger(__name__)


class Loader(Protocol):
    """`load.load_checkpoint`, or what a test puts in its place."""

    def __call__(
        self,
        path: Path,
        device: torch.device,
        dtype: torch.dtype,
        *,
        vae: Path | None,
        vae_dtype: torch.dtype | None,
        progress: Progress | None,
    ) -> StableDiffusion:
        """Load the checkpoint at `path`."""
        ...


@dataclass(slots=True)
class _Loaded:
    pipeline: StableDiffusion
    vae: Path | None
    stamp: Stamp | None


class ModelManager:
    """Owner of the loaded models. Every method may be called from any thread."""

    def __init__(
        self,
        catalogue: Catalogue,
        vaes: VaeCatalogue,
        choose_place: Callable[[], DeviceChoice],
        *,
        default: Path | None = None,
        limit: int = 1,
        loader: Loader | None = None,
        free: Callable[[torch.device], int] | None = None,
        on_loaded: Callable[[Pipeline], object] = lambda pipeline: None,
    ) -> None:
        """Nothing is loaded yet. `limit` models stay loaded, the least recently used goes.

        `choose_place` is asked once, before the first load. `default`: the file to take where a
        choice names none (`--ckpt`). `loader` and `free` (bytes): `load.load_checkpoint` and
        `device.free_bytes` unless a test replaces them.
        """
        self.catalogue = catalogue
        self.vaes = vaes
        self._choose_place = choose_place
        self._default = default
        self._limit = limit
        self._loader = loader
        self._free = free
        self._on_loaded = on_loaded
        self._lock = threading.RLock()
        self._loaded: OrderedDict[Path, _Loaded] = OrderedDict()
        self._state = ModelState()

    @functools.cached_property
    def placement(self) -> DeviceChoice:
        """Device and number format, chosen when first needed. Loads torch."""
        choice = self._choose_place()
        log.info("%s", choice.reason)
        return choice

    @property
    def state(self) -> ModelState:
        """A snapshot; never waits."""
        return self._state

    def resolve(self, choice: ModelChoice) -> ResolvedChoice:
        """The files that `choice` means. Raises NotFound."""
        named = choice.checkpoint or (str(self._default) if self._default else None)
        if named:
            checkpoint = self.catalogue.find(named)
        else:
            checkpoints = self.catalogue.checkpoints()
            if not checkpoints:
                raise NoModel(self.catalogue.folders)
            checkpoint = checkpoints[0]
        return ResolvedChoice(checkpoint, self.vaes.resolve(choice.vae, checkpoint.path))

    @contextmanager
    def use(self, choice: ModelChoice) -> Iterator[Pipeline]:
        """Lend the model of `choice`, loading it if need be; others wait until it is given back.

        The same thread may ask again inside. Raises NotFound, or ModelError where the file
        cannot be loaded; the models loaded before stay.
        """
        resolved = self.resolve(choice)
        with self._lock:
            yield self._get(resolved).pipeline

    def preload(self, choice: ModelChoice) -> threading.Thread:
        """Load in the background; `state` tells how it goes. The thread may be joined."""

        def work() -> None:
            try:
                with self.use(choice):
                    pass
            except EaselError as error:
                log.warning("%s", error)
                if isinstance(error, NotFound) and self.catalogue.checkpoints():
                    self._state = ModelState("failed", choice.checkpoint, reason=str(error))

        thread = threading.Thread(target=work, name="preload", daemon=True)
        thread.start()
        return thread

    def preload_setting(self, settings: Mapping[str, Any]) -> threading.Thread:
        """`preload` what the settings name; where they name what is gone, the first there is."""
        choice = ModelChoice.from_settings(settings)
        if not self.catalogue.checkpoints():
            return self.preload(ModelChoice())
        try:
            self.resolve(choice)
        except NotFound as error:
            log.warning("%s The first checkpoint is loaded instead.", error)
            choice = ModelChoice(None)
        return self.preload(choice)

    def memory(self) -> dict[str, int]:
        """Bytes: `peak` in use on the device, or by this process on a CPU; `total` there is."""
        from modules.model_manager.device import memory_of

        return memory_of(self.placement.device)

    def unload(self) -> None:
        """Forget all models and give their memory back, once nobody uses them."""
        with self._lock:
            self._state = ModelState()
            self._forget_all()

    def _get(self, resolved: ResolvedChoice) -> _Loaded:
        title = resolved.checkpoint.title
        try:
            loaded = self._current(resolved) or self._load(resolved)
            if loaded.vae != resolved.vae:
                self._swap_vae(loaded, resolved)
        except (EaselError, OSError, RuntimeError, MemoryError) as error:
            self._state = ModelState("failed", title, reason=str(error))
            raise
        self._loaded[resolved.checkpoint.path] = loaded
        self._loaded.move_to_end(resolved.checkpoint.path)
        while len(self._loaded) > self._limit:
            self._loaded.popitem(last=False)
            _give_memory_back(self.placement.device)
        if self._state.status != "ready" or self._state.title != title:
            self._state = self._ready(loaded, title)
        return loaded

    def _current(self, resolved: ResolvedChoice) -> _Loaded | None:
        """The loaded model, unless its file changed; one whose file is gone or broken stays."""
        path = resolved.checkpoint.path
        loaded = self._loaded.get(path)
        if loaded is None or _stamp(path) in (None, loaded.stamp):
            return loaded
        try:
            return self._load(resolved)
        except ModelError as error:
            log.warning("%s The model loaded before stays in use.", error)
            return loaded

    def _load(self, resolved: ResolvedChoice) -> _Loaded:
        path, title = resolved.checkpoint.path, resolved.checkpoint.title
        stamp = _stamp(path)
        self._say_loading(title, 0.0)
        self.catalogue.start_hash(resolved.checkpoint)
        self._make_room(path)
        pipeline = self._find_loader()(
            path,
            self.placement.device,
            self.placement.dtype,
            vae=resolved.vae,
            vae_dtype=self.placement.vae_dtype,
            progress=lambda done: self._say_loading(title, done),
        )
        self._on_loaded(pipeline)
        return _Loaded(pipeline, resolved.vae, stamp)

    def _make_room(self, path: Path) -> None:
        """Forget the other models first where a further one would not fit beside them."""
        from modules.model_manager.device import free_bytes
        from modules.model_manager.load import size_in_memory

        needed = size_in_memory(path, self.placement.dtype)
        free = (self._free or free_bytes)(self.placement.device)
        if self._loaded and free < needed:
            log.info("Memory is short: the models loaded before are forgotten.")
            self._forget_all()

    def _forget_all(self) -> None:
        if self._loaded:
            self._loaded.clear()
            _give_memory_back(self.placement.device)

    def _find_loader(self) -> Loader:
        if self._loader is not None:
            return self._loader
        from modules.model_manager.load import load_checkpoint  # torch and diffusers

        return load_checkpoint

    def _swap_vae(self, loaded: _Loaded, resolved: ResolvedChoice) -> None:
        from modules.model_manager.load import load_vae  # torch and diffusers

        title = resolved.checkpoint.title
        load_vae(
            loaded.pipeline,
            resolved.vae,
            self.placement.vae_dtype,
            lambda done: self._say_loading(title, done),
        )
        loaded.vae = resolved.vae

    def _say_loading(self, title: str, fraction: float) -> None:
        self._state = ModelState("loading", title, fraction)

    def _ready(self, loaded: _Loaded, title: str) -> ModelState:
        pipeline = loaded.pipeline
        return ModelState(
            "ready",
            title,
            device=str(pipeline.device),
            dtype=str(pipeline.dtype).removeprefix("torch."),
            size_bytes=pipeline.size_bytes,
        )


def _stamp(path: Path) -> Stamp | None:
    try:
        return stamp_of(path / FOLDER_MARK if path.is_dir() else path)
    except OSError:
        return None


def _give_memory_back(device: torch.device) -> None:
    """Collect what nobody refers to any more, and let the driver have it."""
    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "xpu":
        torch.xpu.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
