"""Saving: numbers, atomicity, and what happens when the disk is full."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from modules.images import read
from modules.images.naming import NameFields
from modules.images.numbering import claim_number, next_number
from modules.images.save import save_image, write_text

MOMENT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
FIELDS = NameFields(moment=MOMENT, seed=42, prompt="a fox/../..", user="ann")
IMAGE = Image.new("RGB", (16, 16), "red")
INFOTEXT = "a 狐\nSteps: 1, Sampler: Euler, Seed: 42"


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_first_picture_is_number_zero_in_the_dated_folder(tmp_path: Path) -> None:
    path = save_image(IMAGE, tmp_path, fields=FIELDS, directory_pattern="[date]", infotext=INFOTEXT)
    assert path == tmp_path / "2026-03-04" / "00000-42.png"
    with Image.open(path) as image:
        assert read(image).infotext == INFOTEXT
    assert names(tmp_path) == ["2026-03-04", "2026-03-04/00000-42.png"]


def test_numbers_go_on_from_the_highest(tmp_path: Path) -> None:
    for name in ("00007-1.png", "00003.jpg", "99999999-x.png", "12.png", "grid-0009.png"):
        (tmp_path / name).touch()
    (tmp_path / "00050-folder").mkdir()
    assert next_number(tmp_path) == 8
    assert next_number(tmp_path, "grid") == 10
    assert save_image(IMAGE, tmp_path, fields=FIELDS, pattern="[seed]").name == "00008-42.png"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "00000-42-a fox_.._.png"),
        ({"directory_pattern": "[user]"}, "ann/00000-42.png"),
        ({"pattern": "[none]"}, "00000.png"),
        ({"basename": "grid", "format": "jpg"}, "grid-0000.jpg"),
        ({"basename": "grid", "pattern": "[seed]"}, "grid-0000-42.png"),
        ({"pattern": "[seed]", "suffix": "-before-highres-fix"}, "00000-42-before-highres-fix.png"),
        ({"numbered": False, "pattern": "[seed]"}, "42.png"),
        ({"numbered": False, "pattern": "[none]"}, "00000.png"),
        ({"numbered": False, "pattern": "../[seed]"}, "_42.png"),
        ({"format": "WEBP", "pattern": "[seed]"}, "00000-42.webp"),
    ],
)
def test_name_follows_the_options(
    tmp_path: Path, options: dict[str, object], expected: str
) -> None:
    path = save_image(IMAGE, tmp_path, fields=FIELDS, **options)  # type: ignore[arg-type]
    assert path.relative_to(tmp_path).as_posix() == expected


def test_same_name_is_replaced_or_gets_a_suffix(tmp_path: Path) -> None:
    def save(*, replace: bool) -> str:
        path = save_image(
            IMAGE, tmp_path, fields=FIELDS, pattern="[seed]", numbered=False, replace=replace
        )
        return path.name

    found = [save(replace=True), save(replace=True), save(replace=False), save(replace=False)]
    assert found == ["42.png", "42.png", "42-1.png", "42-2.png"]


def test_text_file_lies_beside_the_picture(tmp_path: Path) -> None:
    path = save_image(
        IMAGE, tmp_path, fields=FIELDS, pattern="v1.5-[seed]", infotext=INFOTEXT, text_file=True
    )
    assert names(tmp_path) == ["00000-v1.5-42.png", "00000-v1.5-42.txt"]
    assert path.with_suffix(".txt").read_text(encoding="utf-8") == INFOTEXT + "\n"


def test_two_threads_lose_nothing_and_share_no_number(tmp_path: Path) -> None:
    def fifty(seed: int) -> list[Path]:
        fields = NameFields(moment=MOMENT, seed=seed)
        return [save_image(IMAGE, tmp_path, fields=fields, pattern="[seed]") for _ in range(50)]

    with ThreadPoolExecutor(2) as pool:
        paths = [path for found in pool.map(fifty, (1, 2)) for path in found]
    assert len(set(paths)) == 100
    assert sorted(path.name[:5] for path in paths) == [f"{number:05}" for number in range(100)]
    assert len(names(tmp_path)) == 100


def test_two_threads_with_one_name_get_two_files(tmp_path: Path) -> None:
    def twenty(_: int) -> list[Path]:
        options = {"pattern": "[seed]", "numbered": False, "replace": False}
        return [save_image(IMAGE, tmp_path, fields=FIELDS, **options) for _ in range(20)]  # type: ignore[arg-type]

    with ThreadPoolExecutor(2) as pool:
        paths = [path for found in pool.map(twenty, (1, 2)) for path in found]
    assert len(set(paths)) == len(names(tmp_path)) == 40


def test_claimed_number_is_invisible_until_it_is_finished(tmp_path: Path) -> None:
    with claim_number(tmp_path, "-a.png") as first, claim_number(tmp_path, "-b.png") as second:
        assert (first.path.name, second.path.name) == ("00000-a.png", "00001-b.png")
        assert not list(tmp_path.glob("0*"))
    assert names(tmp_path) == ["00000-a.png", "00001-b.png"]


def test_failed_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), claim_number(tmp_path, ".png") as claim:
        claim.part.write_bytes(b"half")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_files_get_the_usual_permissions(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    path = save_image(IMAGE, tmp_path, fields=FIELDS)
    assert path.stat().st_mode == ordinary.stat().st_mode


def test_full_disk_leaves_no_file_and_says_so(tmp_path: Path) -> None:
    """A file-size limit stands in for the full disk; it holds for a process, hence the child."""
    script = f"""
import resource
from datetime import datetime
from pathlib import Path
from PIL import Image
from modules.core.errors import OutOfSpace
from modules.images.naming import NameFields
from modules.images.save import save_image
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    save_image(Image.effect_noise((256, 256), 90), Path({str(tmp_path)!r}),
               fields=NameFields(moment=datetime.now()))
except OutOfSpace as error:
    raise SystemExit(f"told: {{error}}")
"""
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environ, check=False
    )
    assert done.stderr.startswith("told: The disk is full"), done.stderr
    assert names(tmp_path) == []


def test_folder_that_cannot_be_written_raises_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        save_image(IMAGE, tmp_path / "file", fields=FIELDS)


def test_text_is_replaced_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "params.txt", "old")
    write_text(tmp_path / "params.txt", "new \ud800")
    assert (tmp_path / "params.txt").read_bytes() == b"new ?"
    assert names(tmp_path) == ["params.txt"]
