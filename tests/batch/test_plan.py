from __future__ import annotations

from pathlib import Path

import pytest

from modules.batch import find_masks, list_pictures, plan_items
from modules.core.errors import BadInput


def make(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


def test_pictures_come_in_natural_order_without_other_files(tmp_path: Path) -> None:
    make(tmp_path, "a10.png", "a2.JPG", "b.webp", "notes.txt", ".hidden.png")
    (tmp_path / "folder.png").mkdir()
    found = [path.name for path in list_pictures(tmp_path, "x")]
    assert found == ["a2.JPG", "a10.png", "b.webp"]


@pytest.mark.parametrize("name", ["nowhere", "empty", "file"])
def test_what_is_no_folder_of_pictures_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="batch_input_dir"):
        list_pictures(tmp_path / name, "batch_input_dir")


def test_items_keep_names_and_never_share_one(tmp_path: Path) -> None:
    sources = make(tmp_path, "a.png", "a.jpg", "b.png")
    assert [item.name for item in plan_items(sources, None)] == ["a-png", "a-jpg", "b"]


def test_uploads_are_named_as_people_know_them() -> None:
    items = plan_items([Path("/tmp/x/1f/a.png")], None, ["my cat.png"])
    assert items[0].name == "my cat"


def test_masks_are_one_for_all_or_by_name(tmp_path: Path) -> None:
    sources = make(tmp_path, "a.png", "b.png")
    (one,) = make(tmp_path / "one", "any.png")
    several = make(tmp_path / "several", "b.jpg", "c.png")
    assert [item.mask for item in plan_items(sources, [one])] == [one, one]
    assert [item.mask for item in plan_items(sources, several)] == [None, several[0]]
    assert find_masks([], "a") is None
