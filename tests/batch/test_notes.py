"""What is noted of results, and what of it counts."""

from __future__ import annotations

from pathlib import Path

from modules.batch import Notes
from modules.batch.notes import NAME


def test_only_the_same_source_options_and_ending_count(tmp_path: Path) -> None:
    source, result = Path("/pictures/a.jpg"), tmp_path / "a.png"
    result.touch()
    Notes(tmp_path, {"by": "2"}).add(source, result)
    assert Notes(tmp_path, {"by": "2"}).has(source, ".png")
    assert not Notes(tmp_path, {"by": "3"}).has(source, ".png")
    assert not Notes(tmp_path, {"by": "2"}).has(Path("/other/a.jpg"), ".png")
    assert not Notes(tmp_path, {"by": "2"}).has(source, ".webp")
    result.unlink()
    assert not Notes(tmp_path, {"by": "2"}).has(source, ".png")


def test_damaged_lines_are_left_out_and_names_lead_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/b.png").touch()
    (tmp_path / "secret.png").touch()
    notes = Notes(tmp_path / "out", {})
    notes.add(Path("/b.jpg"), tmp_path / "out/b.png")
    with (tmp_path / "out" / NAME).open("a") as file:
        for name in ('"../secret.png"', '""', "[1]", "null"):
            file.write(f'{{"file": {name}, "source": "/a.jpg", "options": {{}}}}\n')
        file.write('[1]\n{"file": "b.p')
    fresh = Notes(tmp_path / "out", {})
    assert fresh.has(Path("/b.jpg"), ".png") and not fresh.has(Path("/a.jpg"), ".png")


def test_folder_that_cannot_be_written_loses_only_the_note(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    notes = Notes(tmp_path, {})
    notes.add(Path("/a.jpg"), tmp_path / "a.png")
    assert not Notes(tmp_path, {}).has(Path("/a.jpg"), ".png")
