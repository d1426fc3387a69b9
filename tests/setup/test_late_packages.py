"""Packages whose `__init__` waits, in fresh interpreters."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2]
START = f"""
import sys
sys.path.insert(0, {str(PROGRAM)!r})
from modules.setup.late_packages import install
"""
SMALL = (
    START
    + """
from threading import Thread
install({"late": True, "late.inner": True, "late.closed": False})
install({"other": True})
assert sum(type(finder).__name__ == "_Finder" for finder in sys.meta_path) == 1
import late.part
assert late.part.VALUE == 5 and "late.everything" not in sys.modules
assert not hasattr(late, "__wrapped__") and "late.everything" not in sys.modules
found = []
threads = [Thread(target=lambda: found.append(late.TOTAL)) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert found == [6] * 4 and late.RUNS == [1], (found, late.RUNS)
from late import TOTAL, part
from late.inner import *
assert (TOTAL, part.VALUE, STAR) == (6, 5, 7)
assert "TOTAL" in dir(late)
import late.closed
assert "late.closed.part" not in sys.modules
import late.closed.part
assert late.closed.FIRST == 1 and late.closed.part.RAN_AFTER == [1]
try:
    late.nothing
except AttributeError as error:
    assert "nothing" in str(error)
else:
    raise AssertionError("a name that is not there")
try:
    from late.inner import nothing
except ImportError:
    print("fine")
"""
)
REAL = (
    START
    + """
from modules.setup import torchvision_compat
torchvision_compat.install()
install()
from diffusers import AutoencoderKL, UNet2DConditionModel
assert "diffusers.models.transformers.transformer_flux" not in sys.modules
assert "diffusers.models.autoencoders.autoencoder_kl_wan" not in sys.modules
assert "scipy.stats.distributions" not in sys.modules
from diffusers.models.transformers import FluxTransformer2DModel, Transformer2DModel
from diffusers.models.autoencoders import AutoencoderKL as same
from diffusers import AutoencoderTiny, DiTTransformer2DModel
from diffusers.hooks import HookRegistry
import scipy.stats
assert same is AutoencoderKL and FluxTransformer2DModel.__name__ == "FluxTransformer2DModel"
assert abs(scipy.stats.beta.ppf(0.5, 0.6, 0.6) - 0.5) < 1e-9
print("fine")
"""
)


def test_a_late_package_runs_once_and_when_it_is_asked_for_a_name(tmp_path: Path) -> None:
    files = {
        "__init__.py": "from late.everything import TOTAL\nfrom late.everything import RUNS\n"
        "RUNS.append(1)\n",
        # Asks its half-initialised package for a module, as many packages do.
        "everything.py": "from late import part\nTOTAL = part.VALUE + 1\nRUNS = []\n",
        "part.py": "VALUE = 5\n",
        "closed/__init__.py": "RUNS = [1]\nFIRST = 1\n",
        "closed/part.py": "from late.closed import RUNS\nRAN_AFTER = list(RUNS)\n",
        "inner/__init__.py": "__all__ = ['STAR']\nSTAR = 7\n",
    }
    for name, text in files.items():
        path = tmp_path / "late" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert _run(SMALL, tmp_path) == "fine\n"


def test_diffusers_keeps_all_its_names_and_loads_few_of_its_files(tmp_path: Path) -> None:
    assert _run(REAL, tmp_path) == "fine\n"


def _run(script: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr
