"""Which device and number format a model computes in, and why, in words for the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import psutil
import torch

from modules.core.errors import BadInput
from modules.setup.flags import Flags

Precision = Literal["autocast", "full", "half"]
Accelerator = Literal["cuda", "xpu", "mps"]


@dataclass(frozen=True, slots=True)
class DeviceFlags:
    """The command-line flags that have a say, under A1111's names."""

    use_cpu: Sequence[str] = ()
    """Parts that compute on the CPU; "all" and "sd" mean the model."""
    device_id: str | None = None
    precision: Precision = "autocast"
    no_half: bool = False
    no_half_vae: bool = False

    @classmethod
    def from_flags(cls, flags: Flags) -> DeviceFlags:
        """Those of the command line."""
        return cls(
            use_cpu=flags.use_cpu,
            device_id=flags.device_id,
            precision=cast(Precision, flags.precision),
            no_half=flags.no_half,
            no_half_vae=flags.no_half_vae,
        )


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the machine has: the accelerator that torch can use, and facts of it."""

    accelerator: Accelerator | None
    names: tuple[str, ...] = ()
    """One per card."""
    capabilities: tuple[tuple[int, int], ...] = ()
    """CUDA compute capability per card; empty for other accelerators."""


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """The decision. `reason` is a whole sentence."""

    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype
    reason: str


def probe_hardware() -> Hardware:
    """Ask torch what there is; the first of CUDA (or ROCm), XPU, MPS that works."""
    if torch.cuda.is_available():
        cards = range(torch.cuda.device_count())
        return Hardware(
            "cuda",
            tuple(torch.cuda.get_device_name(card) for card in cards),
            tuple(torch.cuda.get_device_capability(card) for card in cards),
        )
    if torch.xpu.is_available():
        cards = range(torch.xpu.device_count())
        return Hardware("xpu", tuple(torch.xpu.get_device_name(card) for card in cards))
    if torch.backends.mps.is_available():
        return Hardware("mps", ("Apple GPU",))
    return Hardware(None)


def memory_of(device: torch.device) -> dict[str, int]:
    """Bytes in use at the peak on an accelerator, or by this process on a CPU; and in all."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        return {"peak": torch.cuda.max_memory_allocated(device), "total": total}
    if device.type == "xpu":
        total = torch.xpu.get_device_properties(device).total_memory
        return {"peak": torch.xpu.max_memory_allocated(device), "total": total}
    return {"peak": psutil.Process().memory_info().rss, "total": psutil.virtual_memory().total}


def free_bytes(device: torch.device) -> int:
    """Memory that a model may still take on `device`, as far as the system tells."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "xpu":
        return torch.xpu.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def choose_device(hardware: Hardware, flags: DeviceFlags) -> DeviceChoice:
    """Decide for a machine and flags. Raises BadInput for a card that is not there."""
    if hardware.accelerator is None or {"all", "sd"} & set(flags.use_cpu):
        return _on_cpu(hardware, flags)
    index = _card(hardware, flags)
    device = torch.device(hardware.accelerator, index)
    name = hardware.names[index]
    if flags.no_half or flags.precision == "full":
        why = "--no-half" if flags.no_half else "--precision full"
        return DeviceChoice(
            device, torch.float32, torch.float32, f"Using {name} in float32, because of {why}."
        )
    if hardware.capabilities and not _halves_well(name, hardware.capabilities[index]):
        return DeviceChoice(
            device,
            torch.float32,
            torch.float32,
            f"Using {name} in float32, because this card does not compute float16 well.",
        )
    vae = torch.float32 if flags.no_half_vae else torch.float16
    aside = "; the VAE in float32, because of --no-half-vae" if flags.no_half_vae else ""
    return DeviceChoice(
        device,
        torch.float16,
        vae,
        f"Using {name} in float16, which takes half the memory of float32{aside}.",
    )


def _on_cpu(hardware: Hardware, flags: DeviceFlags) -> DeviceChoice:
    why = "there is no other device" if hardware.accelerator is None else "--use-cpu says so"
    cpu = torch.device("cpu")
    if flags.precision == "half" and not flags.no_half:
        vae = torch.float32 if flags.no_half_vae else torch.bfloat16
        words = "bfloat16, because of --precision half (faster, slightly different pictures)"
        return DeviceChoice(cpu, torch.bfloat16, vae, f"Using the CPU, as {why}, in {words}.")
    return DeviceChoice(
        cpu, torch.float32, torch.float32, f"Using the CPU, as {why}, in float32, its exact format."
    )


def _card(hardware: Hardware, flags: DeviceFlags) -> int:
    if flags.device_id is None:
        return 0
    count = len(hardware.names)
    if not flags.device_id.isdigit() or int(flags.device_id) >= count:
        known = ", ".join(f"{index} ({name})" for index, name in enumerate(hardware.names))
        raise BadInput("--device-id", flags.device_id, f"the cards are {known}")
    return int(flags.device_id)


def _halves_well(name: str, capability: tuple[int, int]) -> bool:
    """Whether float16 is right and fast: Pascal and older are slow, GTX 16xx answers NaN."""
    return capability >= (7, 0) and "GTX 16" not in name
