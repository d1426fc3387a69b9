"""The optional package realesrgan, whose own requirements would break the environment.

basicsr is a source package whose isolated build fetches another torch, and both ask for
packages that are not needed to run a network. So they are installed without their requirements.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from modules.setup.errors import SetupError
from modules.setup.pip_run import Pip

_LIGHT: Final = ("opencv-python-headless==5.0.0.93", "setuptools>=70.1")
_HEAVY: Final = ("basicsr==1.4.2", "realesrgan==0.3.0")
_TIMEOUT_S: Final = 180.0


def install_realesrgan(
    pip: Pip, requirements: Sequence[Path], timeout_s: float = _TIMEOUT_S
) -> bool:
    """Install realesrgan, basicsr and what they import; whether it worked.

    requirements: their versions are not touched. A failure is one line in the log: spandrel
    reads the same weights, so nothing depends on it.
    """
    pins = [word for path in requirements for word in ("--constraint", str(path))]
    try:
        pip.install([*pins, *_LIGHT], total=len(_LIGHT), timeout_s=timeout_s)
        isolation = ["--no-deps", "--no-build-isolation"]
        pip.install([*isolation, *_HEAVY], total=len(_HEAVY), timeout_s=timeout_s)
    except SetupError as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        pip.log(
            f"realesrgan was left out, spandrel reads its models instead: {reason} ({pip.log_file})"
        )
        return False
    return True
