"""A host over the sample extensions, and requests for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from modules.extensions.host import ScriptHost
from modules.extensions.load import find_extensions
from modules.ui.script_arguments import read_controls

SAMPLES = Path(__file__).resolve().parent.parent / "data/extensions"
BUILT_IN = Path(__file__).resolve().parent.parent.parent / "extensions"

MakeHost = Callable[..., ScriptHost]


@pytest.fixture(scope="session")
def sample_host() -> ScriptHost:
    """The scripts of tests/data/extensions."""
    return ScriptHost(find_extensions([SAMPLES]), read_controls)


@pytest.fixture(scope="session")
def host() -> ScriptHost:
    """The scripts that Easel ships."""
    names = [row for row in find_extensions([BUILT_IN]) if row.name.startswith("easel-")]
    return ScriptHost(names, read_controls)
