"""Compiles what a start imports, so that the first start is as quick as the later ones.

Pip would compile all 30,000 files of the libraries; a start needs a tenth of them.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from modules.setup.pip_run import Log

_IMPORTS: Final = """
from modules.setup import torchvision_compat
torchvision_compat.install()
import gradio, fastapi, uvicorn, tokenizers, psutil, yaml, torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel
"""
_TIMEOUT_S: Final = 600.0


def compile_imports(python: Path, root: Path, log: Log) -> None:
    """Import in `python` what the program will; a failure is left for the start to show."""
    log("Preparing the libraries for quick starts")
    settings = {"HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    try:
        subprocess.run(
            [str(python), "-c", _IMPORTS],
            cwd=root,
            env=environ | settings,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as error:
        log(f"That did not work; the first start will take longer ({error})")
