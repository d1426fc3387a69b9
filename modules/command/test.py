"""`python webui.py --test`: the whole test suite in this environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

QUIET_THREADS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
"""Spinning OpenMP threads make tiny models many times slower on busy machines."""
MOST_WORKERS = 4
"""Each worker holds torch and a model, about 1 GB."""


def run_tests(root: Path, arguments: list[str]) -> int:
    """Check style and types, then run pytest with `arguments`, or on everything without any.

    Returns the first exit status that is not 0.
    """
    workers = min(MOST_WORKERS, os.cpu_count() or 1)
    checks = [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]]
    tests = ["pytest", *(arguments or ["-n", str(workers), "--dist", "loadfile"])]
    for command in [*([] if arguments else checks), tests]:
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=root, env=os.environ | QUIET_THREADS, check=False
        )
        if done.returncode:
            return done.returncode
    return 0
