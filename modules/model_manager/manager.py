"""Which model is loaded: one user at a time, and a failed load leaves the one before usable.

Importing this file loads no torch; the first load does, so that the page need not wait for it.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from modules.core.errors import EaselError, ModelError, NoModel, NotFound
from modules.core.settings import known_settings
from modules.model_manager.cache import Held, Limits, ModelCache
from modules.model_manager.catalogue import Catalogue
from modules.model_manager.check import check_checkpoint
from modules.model_manager.choice import Fp8Storage, ModelChoice, ResolvedChoice
from modules.model_manager.hashes import Stamp, stamp_of
from modules.model_manager.idle import IdleWatch, MakeTimer
from modules.model_manager.lending import DeviceLender
from modules.model_manager.library import Library, read_user_metadata
from modules.model_manager.networks import Networks
from modules.model_manager.scan import FOLDER_MARK
from modules.model_manager.state import ModelState, Progress
from modules.model_manager.tiny_vae import TinyVaes
from modules.model_manager.upscaler_files import UpscalerFiles
from modules.model_manager.vae import AUTOMATIC, VaeCatalogue
from modules.postprocess import Upscalers

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
        fp8: Fp8Storage,
        allow_pickles: bool,
    ) -> StableDiffusion:
        """Load the checkpoint at `path`."""
        ...


class ModelManager:
    """Owner of the loaded models. Every method may be called from any thread."""

    def __init__(
        self,
        catalogue: Catalogue,
        vaes: VaeCatalogue,
        choose_place: Callable[[], DeviceChoice],
        *,
        library: Library | None = None,
        settings: Callable[[], Mapping[str, Any]] = known_settings,
        default: Path | None = None,
        loader: Loader | None = None,
        free: Callable[[torch.device], int] | None = None,
        make_timer: MakeTimer | None = None,
        on_loaded: Callable[[Pipeline], object] = lambda pipeline: None,
    ) -> None:
        """Nothing is loaded yet. `settings` gives the user's, anew at each question.

        `choose_place` is asked once, before the first load. `default`: the file to take where a
        choice names none (`--ckpt`). `loader`, `free` (bytes) and `make_timer`:
        `load.load_checkpoint`, `device.free_bytes` and threading's unless a test replaces them.
        """
        self.catalogue = catalogue
        self.vaes = vaes
        self.library = library or Library({})
        self.networks = Networks(self.library, catalogue.hashes)
        self.tiny_vaes = TinyVaes(self.library)
        self._settings = settings
        self._choose_place = choose_place
        self._default = default
        self._loader = loader
        self._on_loaded = on_loaded
        self._lock = threading.RLock()
        self._cache = ModelCache(free)
        self.lend_device = DeviceLender(
            self._lock, self._cache, settings, lambda: self.placement.device
        )
        files = UpscalerFiles(self.library, settings)
        self.upscalers = Upscalers(files, self.lend_device, settings)
        self._idle = IdleWatch(self._rest, make_timer)
        self._users = 0
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
        return ResolvedChoice(checkpoint, self._vae(choice, checkpoint.path), choice.fp8)

    @contextmanager
    def use(self, choice: ModelChoice) -> Iterator[Pipeline]:
        """Lend the model of `choice`, loading it if need be; others wait until it is given back.

        The same thread may ask again inside, for another model too; the outer one stays as it
        was. Raises NotFound, or ModelError where the file cannot be loaded; the models loaded
        before stay.
        """
        resolved = self.resolve(choice)
        path = resolved.checkpoint.path
        with self._lock:
            self._begin()
            try:
                before = self._lent_with(path)
                held = self._get(resolved)
                try:
                    yield held.pipeline
                finally:
                    if before is not None and before[0] is held:
                        self._put_vae(held, path, before[1])
                    self._cache.take_back(path, held)
                    if not len(self._cache):
                        self._state = ModelState()
            finally:
                self._end()

    def fp8_of(self, choice: ModelChoice) -> Fp8Storage | None:
        """The setting that keeps this loaded model in 8 bits; None where it is kept whole."""
        held = self._cache.get(self.resolve(choice).checkpoint.path)
        return choice.fp8 if held is not None and held.is_fp8 else None

    def check(self, choice: ModelChoice) -> None:
        """Raise what can be told at once of a choice that cannot be loaded. Loads no torch.

        NotFound for unknown names, ModelError for files that are damaged or of another kind.
        """
        resolved = self.resolve(choice)
        path, allowed = resolved.checkpoint.path, self._settings()["allow_pickles"]
        if self._cache.get(path) is None:
            check_checkpoint(path, allow_pickles=allowed, own_vae=resolved.vae is None)

    def preload(
        self, choice: ModelChoice, on_failed: Callable[[], object] = lambda: None
    ) -> threading.Thread:
        """Load in the background; `state` tells how it goes. The thread may be joined.

        `on_failed` is called, in that thread, where it cannot be loaded.
        """

        def work() -> None:
            try:
                with self.use(choice):
                    pass
            except EaselError as error:
                log.warning("%s", error)
                if isinstance(error, NotFound) and self.catalogue.checkpoints():
                    self._state = ModelState("failed", choice.checkpoint, reason=str(error))
                on_failed()

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
        self.upscalers.unload()
        with self._lock:
            self._forget()

    def _vae(self, choice: ModelChoice, checkpoint: Path) -> Path | None:
        """A checkpoint's preferred VAE goes before the setting unless the user says otherwise."""
        is_automatic = choice.vae in ("", AUTOMATIC)
        if is_automatic or not choice.vae_wins:
            preferred = read_user_metadata(checkpoint).get("vae")
            if isinstance(preferred, str) and preferred not in ("", AUTOMATIC):
                try:
                    return self.vaes.resolve(preferred, checkpoint)
                except NotFound as error:
                    log.warning("%s wants its VAE: %s", checkpoint.name, error)
        return self.vaes.resolve(choice.vae, checkpoint)

    def _begin(self) -> None:
        self._users += 1
        self._idle.begin()

    def _end(self) -> None:
        self._users -= 1
        if not self._users and len(self._cache):
            self._idle.end(self._settings()["unload_idle_models_min"] * 60)

    def _rest(self) -> None:
        """In the timer's thread: nobody wanted a model for long."""
        if not self._lock.acquire(blocking=False):
            return  # somebody does now
        try:
            if not self._users and len(self._cache):
                log.info("Nothing was asked for a while: the models' memory is given back.")
                self._forget()
        finally:
            self._lock.release()
        self.upscalers.unload()

    def _forget(self) -> None:
        if len(self._cache):
            self._cache.forget_all(self.placement.device)
        if not len(self._cache):
            self._state = ModelState()

    def _lent_with(self, path: Path) -> tuple[Held, Path | None] | None:
        """The model of this path and its VAE, where an outer user has it."""
        held = self._cache.get(path)
        return (held, held.vae) if held is not None and held.lent else None

    def _get(self, resolved: ResolvedChoice) -> Held:
        """The model, on the device and lent."""
        title, path = resolved.checkpoint.title, resolved.checkpoint.path
        limits = Limits.from_settings(self._settings())
        try:
            held = self._current(resolved)
            if held is None:
                self._cache.put(path, self._load(resolved, limits))
            held = self._cache.lend(path, limits, self.placement.device)
            try:
                self._put_vae(held, path, resolved.vae)
            except BaseException:
                self._cache.take_back(path, held)
                raise
        except (EaselError, OSError, RuntimeError, MemoryError) as error:
            self._state = ModelState("failed", title, reason=str(error))
            raise
        self._obey(held.pipeline)
        if self._state.status != "ready" or self._state.title != title:
            self._state = self._ready(held, title)
        return held

    def _current(self, resolved: ResolvedChoice) -> Held | None:
        """The loaded model, unless its file or format changed; None: it must be loaded.

        One whose file is gone or broken stays, and one that is lent.
        """
        path = resolved.checkpoint.path
        held = self._cache.get(path)
        if held is None or held.lent:
            return held
        if held.is_fp8 != _is_fp8(resolved.fp8, held.pipeline):
            return None
        if _stamp(path) in (None, held.stamp):
            return held
        try:
            self._cache.put(path, self._load(resolved, Limits.from_settings(self._settings())))
        except ModelError as error:
            log.warning("%s The model loaded before stays in use.", error)
        return self._cache.get(path)

    def _load(self, resolved: ResolvedChoice, limits: Limits) -> Held:
        from modules.model_manager.load import size_in_memory  # torch and diffusers

        path, title = resolved.checkpoint.path, resolved.checkpoint.title
        stamp, place = _stamp(path), self.placement
        self._say_loading(title, 0.0)
        self.catalogue.start_hash(resolved.checkpoint)
        self._cache.make_room(size_in_memory(path, place.dtype), limits, place.device)
        pipeline = self._find_loader()(
            path,
            place.device,
            place.dtype,
            vae=resolved.vae,
            vae_dtype=place.vae_dtype,
            progress=lambda done: self._say_loading(title, done),
            fp8=resolved.fp8,
            allow_pickles=self._settings()["allow_pickles"],
        )
        self._on_loaded(pipeline)
        return Held(pipeline, resolved.vae, stamp, _is_fp8(resolved.fp8, pipeline))

    def _obey(self, pipeline: StableDiffusion) -> None:
        """Give the pipeline what the user's settings say of it."""
        import torch

        settings = self._settings()
        pipeline.vae_fallbacks = tuple(
            dtype
            for key, dtype in (
                ("auto_vae_precision_bfloat16", torch.bfloat16),
                ("auto_vae_precision", torch.float32),
            )
            if settings[key]
        )

    def _find_loader(self) -> Loader:
        if self._loader is not None:
            return self._loader
        from modules.model_manager.load import load_checkpoint  # torch and diffusers

        return load_checkpoint

    def _put_vae(self, held: Held, path: Path, wanted: Path | None) -> None:
        """Put another autoencoder in place. Raises ModelError, and leaves the one before."""
        if held.vae == wanted:
            return
        from modules.model_manager.load import read_vae  # torch and diffusers

        place, title = self.placement, path.name
        new = held.own_vae if wanted is None else self._cache.vae(wanted, _stamp(wanted))
        if new is None:
            new = read_vae(
                held.pipeline,
                wanted,
                place.vae_dtype,
                lambda done: self._say_loading(title, done),
                allow_pickles=self._settings()["allow_pickles"],
            )
        old = held.pipeline.networks.vae
        held.pipeline.use_vae(new.to(place.device))
        if held.vae is None:
            held.own_vae = old
        else:
            limits = Limits.from_settings(self._settings())
            self._cache.keep_vae(held.vae, _stamp(held.vae), old, limits)
        if wanted is None:
            held.own_vae = None
        held.vae = wanted

    def _say_loading(self, title: str, fraction: float) -> None:
        self._state = ModelState("loading", title, fraction)

    def _ready(self, held: Held, title: str) -> ModelState:
        pipeline = held.pipeline
        return ModelState(
            "ready",
            title,
            device=str(pipeline.device),
            dtype=str(pipeline.dtype).removeprefix("torch."),
            size_bytes=pipeline.size_bytes,
            text_widths=pipeline.text_widths,
        )


def _stamp(path: Path) -> Stamp | None:
    try:
        return stamp_of(path / FOLDER_MARK if path.is_dir() else path)
    except OSError:
        return None


def _is_fp8(fp8: Fp8Storage, pipeline: StableDiffusion) -> bool:
    if fp8 == "Disable":
        return False
    from modules.model_manager.fp8 import is_wanted

    return is_wanted(fp8, pipeline.spec.family)
