"""The loaded models and their memory: who stays on the device, who waits in RAM, who goes.

The one owner of the memory that models take. Least recently used goes first; what is lent stays
where it is. Not thread-safe: the manager calls it under its lock. Loads no torch at module level.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from modules.model_manager.hashes import Stamp

if TYPE_CHECKING:  # these carry torch
    import torch
    from diffusers import AutoencoderKL

    from modules.pipelines.sd import StableDiffusion

log = logging.getLogger(__name__)

GIB: Final = 2**30


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may stay loaded."""

    count: int = 1
    """Models, the one at work included."""
    waits_in_ram: bool = True
    """Whether only the model at work lies on the device, the others in RAM."""
    total_bytes: int = 0
    """Of all models together; 0: no limit."""
    vaes: int = 0
    """Replaced VAE files that are kept in RAM."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Limits:
        """Those of the user."""
        return cls(
            count=settings["sd_checkpoints_limit"],
            waits_in_ram=settings["sd_checkpoints_keep_in_cpu"],
            total_bytes=int(settings["models_memory_limit_gb"] * GIB),
            vaes=settings["sd_vae_checkpoint_cache"],
        )


@dataclass(slots=True)
class Held:
    """One loaded model. `pipeline` is on the device whenever `lent` is above 0."""

    pipeline: StableDiffusion
    vae: Path | None
    """The file that replaces its own autoencoder; None: its own is in place."""
    stamp: Stamp | None
    is_fp8: bool = False
    own_vae: AutoencoderKL | None = None
    """Its own autoencoder while another is in place; None where it was never loaded."""
    lent: int = 0
    """How many users have it now; all are in one thread."""

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        own = self.own_vae.parameters() if self.own_vae is not None else ()
        return self.pipeline.size_bytes + sum(int(weight.nbytes) for weight in own)


class ModelCache:
    """Models by the path that they were loaded from, the most recently used last."""

    def __init__(self, free: Callable[[torch.device], int] | None = None) -> None:
        """`free` tells how many bytes a device still has; `device.free_bytes` where None."""
        self._free = free
        self._held: OrderedDict[Path, Held] = OrderedDict()
        self._vaes: OrderedDict[tuple[Path, Stamp | None], AutoencoderKL] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Path]:
        return iter(tuple(self._held))

    def get(self, path: Path) -> Held | None:
        """The model of that path, wherever it lies."""
        return self._held.get(path)

    def put(self, path: Path, held: Held) -> None:
        """Keep a model that was just loaded; it replaces the one of the same path."""
        self._held[path] = held
        self._held.move_to_end(path)

    def make_room(self, needed: int, limits: Limits, device: torch.device) -> None:
        """Before a load of `needed` bytes: let others go only where memory is short."""
        if needed > self._room(limits, device) and limits.waits_in_ram:
            self._rest(device, but=None)
        gone = []
        while needed > self._room(limits, device):
            if self._shed(device):
                continue
            path = self._oldest()
            if path is None:
                break
            gone.append(path.name)
            self._drop(path, device)
        if gone:
            log.info("Memory is short: gone are %s", ", ".join(gone))

    def lend(self, path: Path, limits: Limits, device: torch.device) -> Held:
        """Bring a held model to the device, and let go what is more than the limits allow."""
        held = self._held[path]
        self._held.move_to_end(path)
        held.lent += 1
        if held.pipeline.device.type != device.type:
            if limits.waits_in_ram:
                self._rest(device, but=path)
            held.pipeline.move(device)
        self._trim(limits, device)
        return held

    def take_back(self, path: Path, held: Held) -> None:
        """A user is done; what was lent first is the most recent in the end.

        A model whose weights are no longer its own is forgotten.
        """
        held.lent -= 1
        if self._held.get(path) is held:
            self._held.move_to_end(path)
            if held.pipeline.is_spoilt and not held.lent:
                self._drop(path, held.pipeline.device)

    def forget_all(self, device: torch.device) -> None:
        """Let everything go that is not lent."""
        paths = [path for path, held in self._held.items() if not held.lent]
        for path in paths:
            del self._held[path]
        if paths or self._vaes:
            self._vaes.clear()
            give_memory_back(device)

    def vae(self, path: Path, stamp: Stamp | None) -> AutoencoderKL | None:
        """A VAE that was kept; it is the caller's from now on."""
        return self._vaes.pop((path, stamp), None)

    def keep_vae(self, path: Path, stamp: Stamp | None, vae: AutoencoderKL, limits: Limits) -> None:
        """Keep a VAE that was replaced, in RAM, as far as the limits allow."""
        if limits.vaes:
            vae.to("cpu")
            self._vaes[path, stamp] = vae
        while len(self._vaes) > limits.vaes:
            self._vaes.popitem(last=False)

    def _room(self, limits: Limits, device: torch.device) -> int:
        """Bytes that may still be taken."""
        from modules.model_manager.device import free_bytes

        room = (self._free or free_bytes)(device)
        if limits.total_bytes:
            taken = sum(held.size_bytes for held in self._held.values())
            room = min(room, limits.total_bytes - taken)
        return room

    def _oldest(self) -> Path | None:
        """The least recently used model that nobody uses."""
        return next((path for path, held in self._held.items() if not held.lent), None)

    def _shed(self, device: torch.device) -> bool:
        """Let go what an idle model keeps of its last LoRAs; False where none keeps anything.

        It is made anew when it is wanted, much faster than a model is loaded.
        """
        for held in self._held.values():
            if not held.lent and held.pipeline.spare_bytes:
                held.pipeline.shed()
                give_memory_back(device)
                return True
        return False

    def _trim(self, limits: Limits, device: torch.device) -> None:
        while len(self._held) > limits.count or self._is_over(limits):
            if len(self._held) <= limits.count and self._shed(device):
                continue
            path = self._oldest()
            if path is None:
                return
            self._drop(path, device)

    def _is_over(self, limits: Limits) -> bool:
        taken = sum(held.size_bytes for held in self._held.values())
        return bool(limits.total_bytes) and taken > limits.total_bytes

    def _rest(self, device: torch.device, but: Path | None) -> None:
        """Move to RAM what is on the device and not lent; on a CPU the two are one."""
        if device.type == "cpu":
            return
        resting = [
            held
            for path, held in self._held.items()
            if path != but and not held.lent and held.pipeline.device.type != "cpu"
        ]
        for held in resting:
            held.pipeline.move("cpu")
            if held.own_vae is not None:
                held.own_vae.to("cpu")
        if resting:
            give_memory_back(device)

    def _drop(self, path: Path, device: torch.device) -> None:
        del self._held[path]
        give_memory_back(device)


def give_memory_back(device: torch.device) -> None:
    """Collect what nobody refers to any more, and let driver and system have it."""
    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "xpu":
        torch.xpu.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's, not musl's
        if trim is not None:
            trim(0)
