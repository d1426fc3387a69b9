"""The first seconds of every start: the right Python, the right environment, then go on there."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from modules.setup.environment import ensure_environment, restart_in
from modules.setup.errors import SetupError
from modules.setup.flags import split_arguments


def enter_environment(root: Path, arguments: Sequence[str], *, wants_tests: bool) -> None:
    """Return inside an environment that has what `root`/requirements.txt asks for.

    Makes or updates `.venv` where needed and replaces this process by its interpreter. Ends the
    program with a message and exit status 1 where that cannot be done.
    """
    variable = os.environ.get("COMMANDLINE_ARGS", "")
    try:
        python = ensure_environment(
            root,
            [root / "requirements.txt"],
            dev=wants_tests,
            log=_say,
            skip_install="--skip-install" in [*split_arguments(variable), *arguments],
        )
    except SetupError as error:
        sys.stderr.write(f"\nEasel could not be set up.\n{error}\n")
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped; the next start goes on from here.\n")
        raise SystemExit(130) from None
    restart_in(python)


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} SETUP   {line}\n")
    sys.stderr.flush()
