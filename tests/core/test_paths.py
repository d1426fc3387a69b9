"""Where a request may save."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modules.core.errors import BadInput
from modules.core.paths import Paths, check_output_folder, paths_of
from modules.setup.flags import parse_flags

KEY = "outdir_samples"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    data = tmp_path / "data"
    data.mkdir()
    return paths_of(parse_flags(["--data-dir", str(data)], {}, tmp_path), tmp_path)


@pytest.mark.parametrize("folder", ["", "outputs", "a/../b", "not/there/yet", "{data}/x", "{data}"])
def test_folders_within_the_data_folder_are_free(paths: Paths, folder: str) -> None:
    check_output_folder(paths, KEY, folder.format(data=paths.data), "outputs")


@pytest.mark.parametrize(
    "folder", ["/tmp/x", "..", "../other", "a/../../b", "{data}/../x", "{data}-more", "a\0b"]
)
def test_folders_elsewhere_are_refused_by_name(paths: Paths, folder: str) -> None:
    with pytest.raises(BadInput, match=KEY):
        check_output_folder(paths, KEY, folder.format(data=paths.data), "outputs")


def test_the_users_own_folder_may_be_anywhere(paths: Paths, tmp_path: Path) -> None:
    own = str(tmp_path / "disk")
    check_output_folder(paths, KEY, own, own)
    with pytest.raises(BadInput, match="config.json"):
        check_output_folder(paths, KEY, f"{own}/below", own)


def test_other_settings_and_other_kinds_of_values_are_not_its_business(paths: Paths) -> None:
    check_output_folder(paths, "font", "/fonts/a.ttf", "")
    check_output_folder(paths, KEY, 5, "")


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_links_are_followed(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (paths.data / "out").symlink_to(tmp_path / "elsewhere")
    (paths.data / "loop").symlink_to(paths.data / "loop")
    with pytest.raises(BadInput, match=KEY):
        check_output_folder(paths, KEY, "out/x", "outputs")
    with pytest.raises(BadInput, match=KEY):
        check_output_folder(paths, KEY, "loop/../../x", "outputs")
    check_output_folder(paths, KEY, "out", "out")
