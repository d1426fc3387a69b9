"""What an extension's install.py may ask of its host: pip, git, and whether a package is there.

Names, arguments and messages follow A1111 1.10's `launch`, which 42 of 123 popular extensions
use. One thing differs: Easel's own versions are constraints, so no extension can replace torch
or gradio; an extension that asks for another version fails to install, and Easel goes on.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger(__name__)


def is_installed(package: str) -> bool:
    """Whether a distribution or a module of this name is there."""
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        try:
            return importlib.util.find_spec(package) is not None
        except (ImportError, ValueError):
            return False
    return True


def run(
    command: str,
    desc: str | None = None,
    errdesc: str | None = None,
    custom_env: Mapping[str, str] | None = None,
    live: bool = False,
) -> str:
    """Run a shell command and return what it printed; RuntimeError if it fails.

    live: show its output instead (returns ""). desc, errdesc: what to log before and on failure.
    """
    if desc is not None:
        log.info("%s", desc)
    done = subprocess.run(
        command,
        shell=True,
        env=None if custom_env is None else dict(custom_env),
        stdout=None if live else subprocess.PIPE,
        stderr=None if live else subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        details = f"\nstdout: {done.stdout}" if done.stdout else ""
        details += f"\nstderr: {done.stderr}" if done.stderr else ""
        what = errdesc or "Error running command"
        raise RuntimeError(f"{what}.\nCommand: {command}\nError code: {done.returncode}{details}")
    return done.stdout or ""


def run_pip(command: str, desc: str | None = None, live: bool = False) -> str | None:
    """Run `pip <command>`, such as "install foo==1.2", in this environment.

    None when --skip-install was given. Raises RuntimeError when pip fails.
    """
    if "--skip-install" in shlex.split(os.environ.get("COMMANDLINE_ARGS", "")):
        return None
    constraint = Path(__file__).parents[2] / "requirements.txt"
    environ = {
        **os.environ,
        "PIP_CONSTRAINT": str(constraint),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_PREFER_BINARY": "1",
    }
    return run(
        f'"{sys.executable}" -m pip {command}',
        desc=f"Installing {desc}" if desc else None,
        errdesc=f"Couldn't install {desc or command}",
        custom_env=environ,
        live=live,
    )


def git_clone(url: str, dir: str, name: str, commithash: str | None = None) -> None:
    """Clone a repository into `dir`, at one commit if given; an existing clone is moved there."""
    folder = Path(dir)
    if not folder.exists():
        _git("clone", "--", url, str(folder), what=f"Cloning {name} into {folder}")
    if commithash is None or _git("-C", dir, "rev-parse", "HEAD").strip() == commithash:
        return
    _git("-C", dir, "fetch", what=f"Fetching updates for {name}")
    _git("-C", dir, "checkout", commithash, what=f"Checking out {name} at {commithash}")


def _git(*arguments: str, what: str | None = None) -> str:
    if what is not None:
        log.info("%s", what)
    done = subprocess.run(
        [os.environ.get("GIT", "git"), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout
