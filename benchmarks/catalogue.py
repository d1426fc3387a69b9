"""How long it takes to list many model files, against a bare walk over the same folders.

    python -m benchmarks.catalogue --files 10000 --runs 3

The files are tiny, and each has a preview and every tenth has the user's notes beside it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from modules.model_manager import Catalogue, FileKind, Hashes, Library

FOLDERS = 50


def make_files(root: Path, count: int) -> None:
    """Write `count` files that begin as safetensors do, spread over folders."""
    for number in range(count):
        folder = root / f"folder{number % FOLDERS}"
        folder.mkdir(exist_ok=True)
        path = folder / f"model{number}.safetensors"
        path.write_bytes(b"\x02" + bytes(7) + b"{}")
        path.with_suffix(".preview.png").touch()
        if number % 10 == 0:
            path.with_suffix(".json").write_text("{}")


def walk(root: Path) -> int:
    """The rival: every file's size, by os.walk."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            total += os.stat(os.path.join(folder, name)).st_size  # noqa: PTH116, PTH118
    return total


def median_s(act: Callable[[], object], runs: int) -> float:
    """Median wall time of `act`."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        act()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Print the times and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        make_files(root, options.files)
        hashes = Hashes(root / "hashes.json", enabled=False)
        library = Library({FileKind.LORA: [root]})
        catalogue = Catalogue([root], hashes)
        bare = median_s(lambda: walk(root), options.runs)
        last = f"model{options.files - 1}"
        for what, act in (
            ("cards", lambda: library.refresh(FileKind.LORA)),
            ("checkpoints", catalogue.refresh),
            ("finding one after that", lambda: catalogue.find(last)),
        ):
            spent = median_s(act, options.runs)
            print(f"{what}: {spent:.4f} s, bare walk {bare:.2f} s, ratio {spent / bare:.3f}")


if __name__ == "__main__":
    main()
