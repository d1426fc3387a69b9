"""The environment: made, recognised, updated, mended. Real pip, packages made on the spot."""

import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from modules.setup.environment import (
    check_space,
    ensure_environment,
    is_satisfied,
    python_of,
    restart_in,
    venv_failure,
)
from modules.setup.errors import SetupError
from modules.setup.lock import exclusive
from modules.setup.pip_run import Pip, site_packages
from modules.setup.stamp import read_stamp, remove_stamp

PROGRAM = Path(__file__).parents[2]


def make_wheel(folder: Path, name: str, version: str) -> None:
    """The smallest wheel that pip takes: one module."""
    record = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"version = {version!r}\n")
        wheel.writestr(
            f"{record}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{record}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{record}/RECORD", f"{name}.py,,\n{record}/METADATA,,\n{record}/WHEEL,,\n")


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only source of packages."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in ("easelfoo", "easelbar"):
        make_wheel(folder, name, "1.0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


class Setup:
    """A program folder and the log of its starts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log: list[str] = []
        root.mkdir()
        self.require("easelfoo==1.0")

    def require(self, *lines: str) -> None:
        (self.root / "requirements.txt").write_text("\n".join(lines) + "\n")

    def start(self, *, dev: bool = False) -> Path:
        self.log.clear()
        files = [self.root / "requirements.txt"]
        return ensure_environment(self.root, files, dev, self.log.append)

    def version(self, package: str) -> str:
        """The version that the environment's interpreter imports."""
        code = f"import {package}; print({package}.version)"
        python = str(python_of(self.root / ".venv"))
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
        return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.fixture
def setup(tmp_path: Path, wheels: Path) -> Setup:
    return Setup(tmp_path / "program")


def test_life_of_an_environment(setup: Setup, wheels: Path, tmp_path: Path) -> None:
    """One long test, because making an environment takes seconds."""
    environment = setup.root / ".venv"
    python = python_of(environment)

    # What is left of an environment whose interpreter has gone is no obstacle.
    python.parent.mkdir(parents=True)
    python.symlink_to(tmp_path / "gone")
    (environment / "stale").write_text("x")

    # The first start installs; realesrgan cannot be had here, which stops nothing.
    assert setup.start() == python
    assert setup.version("easelfoo") == "1.0"
    assert setup.log[0].startswith("Making the virtual environment ")
    assert not (environment / "stale").exists()
    assert any(line.startswith("1 of 1: easelfoo, ") for line in setup.log)
    assert any(line.startswith("realesrgan was left out, ") for line in setup.log)
    stamp = read_stamp(environment)
    assert stamp is not None
    assert stamp.extras == {"realesrgan": "failed"}
    assert "Successfully installed easelfoo-1.0" in (environment / "install.log").read_text()
    assert not (environment / "tmp").exists()

    # The second start does nothing and says nothing.
    assert (setup.start(), setup.log) == (python, [])

    # Changed requirements update in place.
    make_wheel(wheels, "easelfoo", "1.1")
    setup.require("easelfoo==1.1", "easelbar  # both")
    assert setup.start() == python
    assert "The requirements have changed; updating the environment" in setup.log
    assert (setup.version("easelfoo"), setup.version("easelbar")) == ("1.1", "1.0")

    # The tests need one more file, which ordinary starts then do not mind.
    (setup.root / "requirements-dev.txt").write_text("easelbar==1.0\n")
    setup.start(dev=True)
    assert setup.log
    assert (setup.start(), setup.log) == (python, [])

    # An installation that was cut off is done again: no stamp, and a package half there.
    remove_stamp(environment)
    (folder,) = site_packages(python)
    (folder / "easelbar.py").unlink()
    (folder / "easelbar-1.0.dist-info" / "INSTALLER").unlink()
    setup.start()
    assert setup.version("easelbar") == "1.0"

    # A package that cannot be had is explained; the next start tries again.
    setup.require("easelnowhere==1.0")
    for _ in range(2):
        with pytest.raises(SetupError, match="has no package that fits") as caught:
            setup.start()
        assert "No matching distribution found for easelnowhere==1.0" in str(caught.value)
        assert "install.log" in str(caught.value)


def test_unreachable_index_is_explained(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    for name, value in {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "1",
        "NO_PROXY": "*",
    }.items():
        monkeypatch.setenv(name, value)
    pip = Pip(Path(sys.executable), [].append, tmp_path / "log", tmp_path / "scratch")
    with pytest.raises(SetupError, match=r"could not be reached.*\n.*Connection refused"):
        pip.install(["--target", str(tmp_path / "target"), "easelnowhere"])


def test_pip_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """A script stands in for the interpreter: it says something for ever."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho $$ > "$0.pid"\nwhile true; do echo x; sleep 0.02; done\n')
    python.chmod(0o755)
    pip = Pip(python, [].append, tmp_path / "log", tmp_path / "scratch")
    with pytest.raises(SetupError, match="did not finish within 0 s"):
        pip.install(["x"], timeout_s=0.2)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "python.pid").read_text()), 0)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no signals")
def test_pip_that_is_killed_is_told_apart(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -9 $$\n")
    python.chmod(0o755)
    pip = Pip(python, [].append, tmp_path / "log", tmp_path / "scratch")
    with pytest.raises(SetupError, match=r"ended by signal 9; is there too little memory\?"):
        pip.install(["x"])


def test_interpreter_that_has_everything_is_used(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    (tmp_path / "more.txt").write_text("pytest\t# any\n")
    file.write_text("# comment\n\n-r more.txt\nPillow>=1\nuvicorn[standard]\n")
    assert is_satisfied([file])
    assert ensure_environment(tmp_path, [file], False, [].append) == Path(sys.executable)
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("line", ["pytest==0.1", "easelnowhere", "-e .", "./folder"])
def test_interpreter_that_lacks_something_is_not(tmp_path: Path, line: str) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(f"pytest\n{line}\n")
    assert not is_satisfied([file])


def test_local_versions_satisfy_a_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch 2.13.0+cpu is torch 2.13.0."""
    make_wheel(tmp_path, "easelfoo", "1.0+cpu")
    with zipfile.ZipFile(tmp_path / "easelfoo-1.0+cpu-py3-none-any.whl") as wheel:
        wheel.extractall(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    file = tmp_path / "requirements.txt"
    file.write_text("easelfoo==1.0\n")
    assert is_satisfied([file])


def test_skip_install_takes_this_interpreter(tmp_path: Path) -> None:
    missing = tmp_path / "requirements.txt"
    python = ensure_environment(tmp_path, [missing], False, [].append, skip_install=True)
    assert python == Path(sys.executable)


def test_small_disk_is_named_before_anything_is_fetched() -> None:
    check_space(4 * 10**9, 4 * 10**9, Path("/x"))
    with pytest.raises(SetupError, match=r"3\.9 GB are free where /x lies.*need about 4 GB"):
        check_space(39 * 10**8, 4 * 10**9, Path("/x"))


def test_folder_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("easelnowhere\n")
    (tmp_path / ".venv").write_text("a file where a folder should be")
    with pytest.raises(SetupError, match=r"File exists: .*\.venv"):
        ensure_environment(tmp_path, [tmp_path / "requirements.txt"], False, [].append)


def test_restart_passes_the_arguments_on(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.symlink_to(sys.executable)
    script = tmp_path / "program.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(PROGRAM)!r})\n"
        "from modules.setup.environment import restart_in\n"
        f"restart_in(Path({str(other)!r}))\n"
        "print(sys.executable, sys.argv[1:], sys.dont_write_bytecode)\n"
    )
    command = [sys.executable, "-B", str(script), "--api", "a b"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{other} ['--api', 'a b'] True"


def test_restart_into_itself_returns() -> None:
    restart_in(Path(sys.executable))


def test_second_installation_waits_for_the_first(tmp_path: Path) -> None:
    waiting = threading.Event()
    told: list[str] = []

    def say(line: str) -> None:
        told.append(line)
        waiting.set()

    def second() -> None:
        with exclusive(tmp_path / ".lock", say):
            told.append("second")

    thread = threading.Thread(target=second)
    with exclusive(tmp_path / ".lock", told.append):
        thread.start()
        assert waiting.wait(10)
        told.append("first is done")
    thread.join(10)
    assert told == [
        "Another start of Easel is installing; waiting for it",
        "first is done",
        "second",
    ]


@pytest.mark.skipif(os.name != "posix", reason="only there do children inherit the lock")
def test_pip_that_outlives_the_program_keeps_the_lock(tmp_path: Path) -> None:
    with exclusive(tmp_path / ".lock", [].append):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    told = threading.Event()

    def second() -> None:
        with exclusive(tmp_path / ".lock", lambda line: told.set()):
            pass

    thread = threading.Thread(target=second)
    thread.start()
    assert told.wait(10)
    child.kill()
    child.wait()
    thread.join(10)
    assert not thread.is_alive()


def test_python_without_venv_module_is_explained() -> None:
    """Debian's python3 comes without ensurepip and says this."""
    message = venv_failure(
        "The virtual environment was not created successfully because ensurepip is not\navailable."
    )
    assert f"sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in message
    assert venv_failure("something else").endswith("\n  something else")
