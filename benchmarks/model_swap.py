"""Loading, switching and memory of full-size SD1.5 checkpoints with random weights.

Each figure stands beside its rival of the same run; the file lies in the system's cache:

    python -m benchmarks.model_swap --runs 3

Writes 2.1 GB into a temporary folder (`--folder`) and needs memory for three models at once.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import json
import logging
import math
import os
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import torch

from modules.setup.torchvision_compat import install

install()

from modules.core.settings import Settings  # noqa: E402
from modules.model_manager import (  # noqa: E402
    Catalogue,
    Hashes,
    ModelChoice,
    ModelManager,
    VaeCatalogue,
)
from modules.model_manager.device import DeviceChoice  # noqa: E402
from modules.model_manager.load import load_checkpoint  # noqa: E402
from modules.model_manager.tensor_file import DTYPES  # noqa: E402
from modules.model_manager.tensor_header import ITEM_SIZES  # noqa: E402

HEADER = Path(__file__).parents[1] / "tests/data/headers/sd15.json.gz"
CPU = torch.device("cpu")
Times = list[tuple[float, float]]
"""Wall and processor seconds of several runs."""
NAMES = ("one", "two", "three")


def write_random(path: Path) -> None:
    """A checkpoint with the names, shapes and formats of SD1.5's, weights N(0, 1/fan-in)."""
    rows = json.loads(gzip.decompress(HEADER.read_bytes()))
    rows = {name: row for name, row in rows.items() if "alphas_cumprod" not in name}
    header, end = {}, 0
    for name, (dtype, shape) in rows.items():
        start, end = end, end + math.prod(shape) * ITEM_SIZES[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = torch.Generator().manual_seed(0)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for dtype, shape in rows.values():
            scale = 1 / math.sqrt(math.prod(shape[1:]) or 1)
            weights = torch.randn(shape, generator=generator) * scale
            file.write(weights.to(DTYPES[dtype]).numpy().tobytes())


def seconds(act: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor time of `act`; what it returned is forgotten after that."""
    started, busy = time.perf_counter(), time.process_time()
    result = act()
    spent = time.perf_counter() - started, time.process_time() - busy
    del result
    return spent


def read_anew(path: Path) -> bytes:
    """The rival: the file's bytes into fresh memory."""
    return path.read_bytes()


def read_into(path: Path, buffer: bytearray) -> int:
    """The stricter rival: the file's bytes into memory that is there already."""
    with path.open("rb", buffering=0) as file:
        view, filled = memoryview(buffer), 0
        while filled < len(view) and (count := file.readinto(view[filled:])):
            filled += count
    return filled


def lines(what: str, ours: Times, theirs: Mapping[str, Times]) -> str:
    """One line by the clock, and one by the processor, which other programs disturb less."""
    result = []
    for number, clock in enumerate(("wall", "processor")):
        own = statistics.median(pair[number] for pair in ours)
        parts = [f"{what}, {clock}: {own:.2f} s"]
        for name, pairs in theirs.items():
            rival = statistics.median(pair[number] for pair in pairs)
            parts.append(f"{name} {rival:.2f} s, ratio {own / rival:.2f}")
        result.append("; ".join(parts))
    return "\n".join(result)


def measure_loading(path: Path, runs: int, dtype: torch.dtype) -> str:
    """Cold loads against reading, in turns."""
    buffer = bytearray(path.stat().st_size)
    ours: Times = []
    anew: Times = []
    into: Times = []
    load_checkpoint(path, CPU, dtype)  # imports and first use of everything
    for _ in range(runs):
        anew.append(seconds(lambda: read_anew(path)))
        into.append(seconds(lambda: read_into(path, buffer)))
        ours.append(seconds(lambda: load_checkpoint(path, CPU, dtype)))
    what = f"cold load in {str(dtype).removeprefix('torch.')}"
    return lines(what, ours, {"read_bytes": anew, "read into warm memory": into})


def measure_peak(path: Path, dtype: torch.dtype) -> str:
    """Peak memory of one load against the model's own size."""
    load_checkpoint(path, CPU, dtype)
    process = psutil.Process()
    before = process.memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    pipeline = load_checkpoint(path, CPU, dtype)
    peak = _peak_rss() - before
    size = pipeline.size_bytes
    return f"peak of a load: {peak / size:.3f} of the model's {_gib(size)}"


def make_manager(folder: Path, limit: int, dtype: torch.dtype) -> ModelManager:
    """A manager over the folder; hashing is off, it would read the files too."""
    settings = Settings(None)
    settings.update({"sd_checkpoints_limit": limit})
    hashes = Hashes(folder / "hashes.json", enabled=False)
    place = DeviceChoice(CPU, dtype, dtype, "Measuring.")
    return ModelManager(
        Catalogue([folder], hashes),
        VaeCatalogue([], [folder], None),
        lambda: place,
        settings=settings.view,
    )


def take(manager: ModelManager, name: str) -> None:
    """Use one model and give it back."""
    with manager.use(ModelChoice(name)):
        pass


def measure_switching(folder: Path, dtype: torch.dtype) -> str:
    """Switching among models that are all in RAM."""
    manager = make_manager(folder, len(NAMES), dtype)
    for name in NAMES:
        take(manager, name)
    times = [seconds(functools.partial(take, manager, name))[0] for _ in range(5) for name in NAMES]
    manager.unload()
    return f"switch to a model in RAM: {statistics.median(times):.4f} s, at most {max(times):.4f} s"


def measure_return(folder: Path, switches: int, dtype: torch.dtype) -> str:
    """Memory after many switches, each of which loads, against that after the first round."""
    manager = make_manager(folder, 1, dtype)
    process = psutil.Process()
    levels: list[int] = []
    for number in range(switches):
        take(manager, NAMES[number % len(NAMES)])
        levels.append(process.memory_info().rss)
    first, last = levels[len(NAMES) - 1], levels[-1]
    manager.unload()
    return (
        f"memory after {switches} switches: {_gib(last)}, {last / first - 1:+.2%} against the "
        f"first round; after unload {_gib(process.memory_info().rss)}"
    )


def _peak_rss() -> int:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"


def measure_all(folder: Path, options: Any) -> None:
    """Print every line as it is found."""
    path = folder / f"{NAMES[0]}.safetensors"
    write_random(path)
    for name in NAMES[1:]:
        os.link(path, folder / f"{name}.safetensors")
    dtype = getattr(torch, options.dtype)
    print(measure_peak(path, dtype), flush=True)
    print(measure_loading(path, options.runs, dtype), flush=True)
    print(measure_switching(folder, dtype), flush=True)
    print(measure_return(folder, options.switches, dtype), flush=True)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--switches", type=int, default=50)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--folder", type=Path, help="where the files are written for a while")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure_all(Path(folder), options)


if __name__ == "__main__":
    main()
