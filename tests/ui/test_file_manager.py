from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from modules.ui.file_manager import find_file_manager, is_at_this_machine, open_folder


@pytest.mark.parametrize(
    ("client", "headers", "wanted"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("192.168.1.5", {}, False),
        ("127.0.0.1", {"x-forwarded-for": "192.168.1.5"}, False),
        ("testclient", {}, False),
        (None, {}, False),
    ],
)
def test_only_the_own_machine_counts(
    client: str | None, headers: Mapping[str, str], wanted: bool
) -> None:
    assert is_at_this_machine(client, headers) is wanted


def make_program(folder: Path, name: str) -> str:
    file = folder / name
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return str(file)


def test_file_manager_needs_a_program_and_a_screen(tmp_path: Path) -> None:
    path = {"PATH": str(tmp_path)}
    assert find_file_manager("linux", path | {"DISPLAY": ":0"}) is None
    program = make_program(tmp_path, "xdg-open")
    assert find_file_manager("linux", path) is None
    assert find_file_manager("linux", path | {"DISPLAY": ":0"}) == program
    assert find_file_manager("linux", path | {"WAYLAND_DISPLAY": "wayland-0"}) == program
    assert find_file_manager("darwin", path) is None
    assert find_file_manager("darwin", path) != make_program(tmp_path, "open")
    assert find_file_manager("darwin", path) == str(tmp_path / "open")


def test_folder_is_handed_to_the_program(tmp_path: Path) -> None:
    started: list[Sequence[str]] = []
    assert open_folder(tmp_path, "/bin/manager", started.append)
    assert started == [("/bin/manager", str(tmp_path))]
    assert not open_folder(tmp_path / "none", "/bin/manager", started.append)
    assert not open_folder(tmp_path, None, started.append)
    assert len(started) == 1


def test_program_that_does_not_start_is_no_error(tmp_path: Path) -> None:
    assert not open_folder(tmp_path, str(tmp_path / "missing"))
