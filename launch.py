"""A1111 face of modules/setup: what extensions' install.py import; as a program, webui.py."""

import os
import runpy
import sys
from pathlib import Path
from typing import Any

from modules.setup.extension_install import git_clone, is_installed, run, run_pip
from modules.setup.flags import parse_flags

__all__ = ["git_clone", "is_installed", "run", "run_pip"]

_ROOT = Path(__file__).parent


def __getattr__(name: str) -> Any:
    """`args`, A1111's flags as attributes, and `python` are worked out when asked for."""
    if name == "args":
        return parse_flags([], os.environ, _ROOT, strict=False).namespace()
    if name == "python":
        return sys.executable
    raise AttributeError(f"module 'launch' has no attribute '{name}'")


if __name__ == "__main__":
    runpy.run_path(str(_ROOT / "webui.py"), run_name="__main__")
