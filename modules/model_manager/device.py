"""Which device and number format a model computes in, and why, in words for the log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import psutil
import torch

from modules.core.errors import BadInput
from modules.setup.flags import Flags

Precision = Literal["autocast", "full", "half"]
Accelerator = Literal["cuda", "xpu", "mps"]
_FASTER, _SLOWER = 1.1, 0.9
"""From where on a format counts as faster, and up to where as slower, than float32."""


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


Speedup = Callable[[torch.device, torch.dtype], float]
"""How many times as fast as float32 a device multiplies in a format; 0 where it cannot."""


def measure_speedup(device: torch.device, dtype: torch.dtype) -> float:
    """Find out by multiplying; takes some hundredths of a second."""
    try:
        exact, short = _matmul_s(device, torch.float32), _matmul_s(device, dtype)
    except RuntimeError:  # the format is unknown to this device
        return 0.0
    return exact / short if short else 0.0


def choose_device(
    hardware: Hardware, flags: DeviceFlags, speedup: Speedup = measure_speedup
) -> DeviceChoice:
    """Decide for a machine and flags. Raises BadInput for a card that is not there."""
    if hardware.accelerator is None or {"all", "sd"} & set(flags.use_cpu):
        return _on_cpu(hardware, flags, speedup)
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
    times = speedup(device, torch.float16)
    if times < _SLOWER and flags.precision != "half":
        return DeviceChoice(
            device,
            torch.float32,
            torch.float32,
            f"Using {name} in float32: in float16 it is {times:.1f} times as fast only.",
        )
    vae = torch.float32 if flags.no_half_vae else torch.float16
    aside = "; the VAE in float32, because of --no-half-vae" if flags.no_half_vae else ""
    return DeviceChoice(
        device,
        torch.float16,
        vae,
        f"Using {name} in float16, which takes half the memory of float32 and is {times:.1f} "
        f"times as fast{aside}.",
    )


def _on_cpu(hardware: Hardware, flags: DeviceFlags, speedup: Speedup) -> DeviceChoice:
    why = "there is no other device" if hardware.accelerator is None else "--use-cpu says so"
    cpu = torch.device("cpu")
    start = f"Using the CPU, as {why},"
    if flags.no_half or flags.precision == "full":
        return DeviceChoice(cpu, torch.float32, torch.float32, f"{start} in float32.")
    times = speedup(cpu, torch.bfloat16)
    if flags.precision == "half" and times < _SLOWER:
        reason = f"{start} in float32: in bfloat16 it is {times:.1f} times as fast only."
        return DeviceChoice(cpu, torch.float32, torch.float32, reason)
    if flags.precision == "half":
        vae = torch.float32 if flags.no_half_vae else torch.bfloat16
        words = f"because of --precision half: {times:.1f} times as fast, not quite the same"
        return DeviceChoice(cpu, torch.bfloat16, vae, f"{start} in bfloat16, {words} pictures.")
    aside = (
        f" ({times:.1f} times as fast, with slightly different pictures: --precision half)"
        if times >= _FASTER
        else ""
    )
    return DeviceChoice(
        cpu, torch.float32, torch.float32, f"{start} in float32, its exact format{aside}."
    )


def _matmul_s(device: torch.device, dtype: torch.dtype) -> float:
    """Seconds of one product of two squares; the best of several, the first not counted."""
    side = 512 if device.type == "cpu" else 4096
    one = torch.full((side, side), 0.5, device=device, dtype=dtype)
    best = math.inf
    for number in range(5):
        started = time.perf_counter()
        value = (one @ one)[0, 0].item()  # waits for the device
        if not math.isfinite(value):
            return 0.0
        if number:
            best = min(best, time.perf_counter() - started)
    return best


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
