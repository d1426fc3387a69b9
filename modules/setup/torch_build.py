"""Which build of torch this computer needs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from modules.setup.errors import SetupError
from modules.setup.pip_run import Pip

_CPU_INDEX: Final = "https://download.pytorch.org/whl/cpu"
_OWN_SOURCES: Final = frozenset({"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"})
_PACKAGES: Final = ("torch==", "torchvision==")


def has_nvidia() -> bool:
    """Whether an NVIDIA driver is installed."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


def install_cpu_torch(pip: Pip, requirements: Sequence[str]) -> None:
    """On Linux without NVIDIA, take torch's CPU build; PyPI's brings 3 GB of CUDA along.

    TORCH_INDEX_URL names another index for torch (A1111 knows it too). Where pip is told of
    other sources (PIP_INDEX_URL and the like), those decide. A failure is logged: the
    requirements then bring PyPI's build.
    """
    index = os.environ.get("TORCH_INDEX_URL", "")
    if not index:
        if sys.platform != "linux" or has_nvidia() or _OWN_SOURCES & os.environ.keys():
            return
        index = _CPU_INDEX
    packages = [line for line in requirements if line.startswith(_PACKAGES)]
    if not packages:
        return
    options = ["--index-url", index, "--no-deps", "--retries", "1", "--timeout", "10"]
    pip.log(f"Fetching torch from {index}")
    try:
        pip.install([*options, *packages], total=len(packages))
    except SetupError as error:
        pip.log(f"That did not work, so PyPI's torch is taken: {str(error).splitlines()[0]}")
