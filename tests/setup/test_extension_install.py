"""What extensions' install.py call, through the face `launch`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import launch
from modules.setup.extension_install import git_clone, is_installed, run, run_pip

PROGRAM = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        ("pytest", True),
        ("Pillow", True),
        ("PIL", True),
        ("PIL.Image", True),
        ("json", True),
        ("easel_nowhere", False),
        ("nowhere.at.all", False),
    ],
)
def test_distributions_and_modules_count_as_installed(package: str, expected: bool) -> None:
    assert is_installed(package) is expected


def test_run_returns_what_was_printed() -> None:
    command = f'"{sys.executable}" -c "import os; print(os.environ[\'COLOUR\'])"'
    assert run(command, custom_env={**os.environ, "COLOUR": "red"}) == "red\n"


def test_run_says_why_it_failed() -> None:
    command = f'"{sys.executable}" -c "import sys; sys.exit(\'because\')"'
    with pytest.raises(RuntimeError, match=r"(?s)No luck\..*Error code: 1.*because"):
        run(command, errdesc="No luck")


def test_pip_runs_in_this_interpreter() -> None:
    assert f"from {Path(sys.prefix)}" in (run_pip("--version") or "")


def test_extension_cannot_replace_the_program_s_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match=r"(?s)Couldn't install a gradio.*gradio==3\.41"):
        run_pip("install --dry-run gradio==3.41.2", "a gradio")
    run_pip("install --dry-run Pillow", "what is there already")


def test_skip_install_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMANDLINE_ARGS", "--api --skip-install")
    assert run_pip("install easel-nowhere") is None


def test_git_clone_goes_to_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "x")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "x@example.org")

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path / "origin"), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "origin").mkdir()
    git("init", "-q")
    commits = []
    for text in ("one", "two"):
        (tmp_path / "origin" / "file").write_text(text)
        git("add", "file")
        git("commit", "-qm", text)
        commits.append(git("rev-parse", "HEAD"))
    clone = tmp_path / "clone"
    for commit, text in ((None, "two"), (commits[0], "one"), (commits[1], "two")):
        git_clone(str(tmp_path / "origin"), str(clone), "thing", commit)
        assert (clone / "file").read_text() == text
    with pytest.raises(RuntimeError, match=r"git .* failed: "):
        git_clone(str(tmp_path / "nowhere"), str(tmp_path / "other"), "thing")


def test_launch_offers_args_as_a1111_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMANDLINE_ARGS", "--no-half --some-extension-flag")
    assert launch.args.no_half is True
    assert launch.args.xformers is False
    assert launch.python == sys.executable
    with pytest.raises(AttributeError, match=r"launch.*nonsense"):
        launch.nonsense  # noqa: B018
