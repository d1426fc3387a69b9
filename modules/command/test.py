"""`python webui.py --test`: the whole test suite in this environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
"""Spinning OpenMP threads make small models many times slower on busy machines."""


def run_tests(root: Path, arguments: list[str]) -> int:
    """Run pytest with `arguments`; returns its exit status."""
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=root, env=os.environ | QUIET_THREADS, check=False).returncode
