"""The program's own virtual environment: made on the first run, checked in milliseconds after.

An interrupted installation is taken up again by the next start; the stamp is written last.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from modules.setup.errors import SetupError
from modules.setup.lock import exclusive
from modules.setup.pip_output import elapsed, explain_failure
from modules.setup.pip_run import Log, Pip, site_packages
from modules.setup.python_version import caution
from modules.setup.realesrgan import install_realesrgan
from modules.setup.stamp import Stamp, digests, read_stamp, remove_stamp, write_stamp
from modules.setup.torch_build import has_nvidia, install_cpu_torch
from modules.setup.warm import compile_imports

_GB: Final = 10**9
_SPACE_CPU: Final = 4 * _GB
_SPACE_CUDA: Final = 12 * _GB
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*(?:==\s*([^\s;#]+))?")


def ensure_environment(
    root: Path, requirements: Sequence[Path], dev: bool, log: Log, *, skip_install: bool = False
) -> Path:
    """The interpreter that has all that Easel needs; installs it into `root`/.venv if none has.

    root: folder of webui.py. requirements: pip's files. dev: also requirements-dev.txt beside
    them. skip_install: this interpreter, whatever it has. log: takes one line at a time.
    Raises SetupError with what to do.
    """
    this = Path(sys.executable)
    if skip_install:
        return this
    files = [*requirements, *([root / "requirements-dev.txt"] if dev else [])]
    wanted = digests(files)
    environment = root / ".venv"
    if _is_ready(environment, wanted):
        return _own(environment)
    if not _is_inside(environment) and is_satisfied(files):
        return this
    try:
        environment.mkdir(parents=True, exist_ok=True)
        with exclusive(environment / ".lock", log):
            if not _is_ready(environment, wanted):
                _install(environment, files, wanted, log)
    except OSError as error:  # no space, or no right to write
        raise SetupError(explain_failure(str(error))) from error
    return _own(environment)


def restart_in(python: Path, arguments: Sequence[str] | None = None) -> None:
    """Go on in `python` with the same arguments; returns only if this already is it.

    arguments: what follows the interpreter's name, this process's own by default.
    """
    if python == Path(sys.executable):
        return
    command = [str(python), *(sys.orig_argv[1:] if arguments is None else arguments)]
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execv(command[0], command)
    raise SystemExit(subprocess.call(command))


def is_satisfied(requirements: Sequence[Path]) -> bool:
    """Whether this interpreter has every package of these files, in the version asked for."""
    return all(_has(line) for path in requirements for line in requirement_lines(path))


def requirement_lines(path: Path) -> list[str]:
    """The requirements of a pip file and of those that it names with -r, without comments."""
    found: list[str] = []
    for raw in path.read_text("utf-8").splitlines():
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        if line.startswith("-r "):
            found += requirement_lines(path.parent / line[3:].strip())
        elif line:
            found.append(line)
    return found


def _has(line: str) -> bool:
    match = _REQUIREMENT.match(line)
    if match is None:
        return False  # an option or a path: only pip can tell
    from importlib import metadata  # takes 20 ms, which an ordinary start should not pay

    try:
        found = metadata.version(match[1])
    except metadata.PackageNotFoundError:
        return False
    return match[2] is None or match[2] in (found, found.partition("+")[0])


def _is_ready(environment: Path, wanted: Mapping[str, str]) -> bool:
    stamp = read_stamp(environment)
    return stamp is not None and stamp.covers(dict(wanted)) and _is_alive(environment, stamp.python)


def _is_alive(environment: Path, version: str) -> bool:
    """Whether the interpreter is there, and still the one that the packages were made for."""
    target = python_of(environment).resolve()
    named = re.search(r"python(\d+\.\d+)$", target.name)
    return target.is_file() and (named is None or named[1] == version)


def python_of(environment: Path) -> Path:
    """Where a virtual environment has its interpreter."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _is_inside(environment: Path) -> bool:
    return Path(sys.prefix).resolve() == environment.resolve()


def _own(environment: Path) -> Path:
    """Its interpreter, under this process's name for it when it already runs there."""
    return Path(sys.executable) if _is_inside(environment) else python_of(environment)


def _install(environment: Path, files: list[Path], wanted: dict[str, str], log: Log) -> None:
    start = time.monotonic()
    if (notice := caution(sys.version_info[:2])) is not None:
        log(notice)
    before = read_stamp(environment)
    remove_stamp(environment)
    _make(environment, log)
    python = python_of(environment)
    _forget_unfinished(python)
    pip = Pip(python, log, environment / "install.log", environment / "tmp")
    lines = list(dict.fromkeys(line for path in files for line in requirement_lines(path)))
    if before is not None:
        log("The requirements have changed; updating the environment")
    else:
        log(f"Installing Easel's libraries into {environment}; this is done once")
        if not any(any(f.glob("torch-*.dist-info")) for f in site_packages(python)):
            needed = _SPACE_CUDA if has_nvidia() else _SPACE_CPU
            check_space(shutil.disk_usage(environment).free, needed, environment.parent)
        install_cpu_torch(pip, lines)
    pip.install([word for path in files for word in ("-r", str(path))], total=len(lines))
    has_extra = before is not None and before.extras.get("realesrgan") == "done"
    extra = "done" if has_extra or install_realesrgan(pip, files) else "failed"
    shutil.rmtree(pip.scratch, ignore_errors=True)
    if any(line.startswith("gradio") for line in lines):
        compile_imports(python, environment.parent, log)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    write_stamp(environment, Stamp(wanted, version, {"realesrgan": extra}))
    log(f"The environment is ready, {elapsed(time.monotonic() - start)}")


def _make(environment: Path, log: Log) -> None:
    """Make the virtual environment, anew if there is one that does not run on this Python."""
    if _runs(python_of(environment)):
        return
    for entry in environment.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != ".lock":
            entry.unlink()
    log(f"Making the virtual environment {environment}")
    done = subprocess.run(
        [sys.executable, "-m", "venv", str(environment)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SetupError(venv_failure(done.stdout + done.stderr))


def _runs(python: Path) -> bool:
    """Whether this interpreter starts, has pip, and is of this process's version."""
    if not python.exists():
        return False
    code = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() == f"{sys.version_info[0]}.{sys.version_info[1]}"


def venv_failure(output: str) -> str:
    """What the output of a failed `python -m venv` means."""
    if "ensurepip" in output or "No module named venv" in output:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        return (
            f"This Python comes without its venv module. On Debian and Ubuntu: "
            f"sudo apt install python{version}-venv; then start again."
        )
    return f"The virtual environment could not be made. {explain_failure(output)}"


def _forget_unfinished(python: Path) -> None:
    """Drop the records of packages whose installation was cut off, so that pip does them again.

    Pip copies a package's files first and writes INSTALLER into its record at the end.
    """
    for folder in site_packages(python):
        for record in folder.glob("*.dist-info"):
            if not (record / "INSTALLER").exists():
                shutil.rmtree(record)


def check_space(free: int, needed: int, place: Path) -> None:
    """Raise SetupError if `free` bytes are too few. place: the folder to name."""
    if free < needed:
        raise SetupError(
            f"{free / _GB:.1f} GB are free where {place} lies, and the libraries need about "
            f"{needed / _GB:.0f} GB. Free some space, or move Easel to another disk."
        )
