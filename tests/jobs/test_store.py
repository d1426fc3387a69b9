"""The file with the queue's rows: what it survives, and what becomes of it when it does not."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modules.jobs.owner import owner_of
from modules.jobs.store import KEPT_ROWS, KEPT_S, NoStore, Row, SqliteStore, Store, open_store

ROOT = Path(__file__).resolve().parents[2]
NOW = 2_000_000_000.0


def row(number: int, **changes: object) -> Row:
    made = Row(number, f"job {number}", number, "txt2img", "ann", "{}", "queued", NOW)
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "queue.db"


def reopened(store: Store, file: Path) -> Store:
    store.close()
    return open_store(file)


def test_rows_come_back_as_they_were_written(file: Path) -> None:
    store = open_store(file)
    first = row(1, request='{"prompt": "é 猫 \\u0000"}', started=NOW + 1, error="no", outcome="[]")
    store.add(first)
    store.add(row(2))
    store.update(2, {"state": "running", "attempt": 2})
    store = reopened(store, file)
    assert store.load() == [first, row(2, state="running", attempt=2)]
    store.close()


def test_rows_come_in_the_order_of_their_places(file: Path) -> None:
    store = open_store(file)
    for number in (1, 2, 3):
        store.add(row(number))
    store.reorder({3: 1, 1: 2, 2: 3})
    assert [one.number for one in store.load()] == [3, 1, 2]
    store.close()


def test_old_finished_rows_go_and_the_newest_stay(file: Path) -> None:
    store = open_store(file)
    store.add(row(1))  # waits since for ever
    store.add(row(2, finished=NOW - KEPT_S - 1))
    for number in range(3, KEPT_ROWS + 5):
        store.add(row(number, finished=NOW - KEPT_S + number))
    store.prune(NOW)
    kept = [one.number for one in store.load()]
    assert kept == [1, *range(5, KEPT_ROWS + 5)]
    store.close()


def test_pictures_of_finished_jobs_give_their_space_back(file: Path) -> None:
    store = open_store(file)
    store.add(row(1, request="x" * 5_000_000))
    store.finish(1, {"request": "{}", "finished": NOW}, NOW)
    store.close()
    assert file.stat().st_size < 100_000
    assert sorted(other.name for other in file.parent.iterdir()) == ["queue.db"]


def garbage(file: Path) -> None:
    file.write_bytes(b"this is no database" * 1000)


def cut_short(file: Path) -> None:
    with file.open("r+b") as data:
        data.truncate(5000)


def overwritten(file: Path) -> None:
    with file.open("r+b") as data:
        data.seek(4096)
        data.write(b"\xa5" * 8192)


def other_table(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("ALTER TABLE jobs RENAME COLUMN place TO spot")
    connection.close()


@pytest.mark.parametrize("damage", [garbage, cut_short, overwritten, other_table])
def test_broken_file_is_set_aside_and_a_new_one_begun(
    file: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(file)
    for number in range(1, 40):
        store.add(row(number, request="x" * 900))
    store.close()
    damage(file)
    broken = file.read_bytes()
    store = open_store(file)
    assert store.keeps and store.load() == []
    (warning,) = caplog.records
    assert "set aside as queue.db.broken-" in warning.message
    (aside,) = file.parent.glob("queue.db.broken-*[0-9]")
    assert aside.read_bytes()[100:] == broken[100:]  # the header counts openings
    store.add(row(1))
    store = reopened(store, file)
    assert store.load() == [row(1)]
    store.close()


def test_file_of_a_newer_easel_is_left_alone(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_store(file).close()
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert isinstance(open_store(file), NoStore)
    assert "a newer Easel wrote it" in caplog.text
    connection = sqlite3.connect(file)
    assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    connection.close()
    assert [other.name for other in file.parent.iterdir()] == ["queue.db"]


def test_place_that_cannot_be_written_keeps_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("")
    store = open_store(blocked / "queue.db")
    store.add(row(1))
    assert not store.keeps and store.load() == []
    folder = tmp_path / "queue.db"
    folder.mkdir()
    assert not open_store(folder).keeps
    assert caplog.text.count("will not survive a restart") == 2
    assert folder.is_dir()


OWNER = """
import sys
from pathlib import Path
from modules.jobs.store import open_store
store = open_store(Path(sys.argv[1]))
print(store.keeps, flush=True)
sys.stdin.read()
"""


def test_second_program_does_not_get_the_file_until_the_first_is_dead(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(file)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        assert owner.stdout and owner.stdout.readline() == "True\n"
        store = open_store(file)
        assert not store.keeps
        assert re.search(
            rf"queue.db is in use by another Easel \(process {owner.pid} on \S+, since 20.*\)\. "
            r"This one keeps its own queue in memory: .*--data-dir", caplog.text
        )  # fmt: skip
        owner.kill()
    store = open_store(file)
    assert isinstance(store, SqliteStore)
    store.close()


@pytest.mark.parametrize("note", [None, "", "[]", '{"process": "x", "host": 1, "since": 1e99}'])
def test_owner_without_a_readable_note_is_another_easel(file: Path, note: str | None) -> None:
    file.parent.mkdir()
    if note is not None:
        file.with_name("queue.db.owner").write_text(note)
    assert owner_of(file) == "another Easel"


FULL_DISK = """
import resource, sys
from pathlib import Path
from dataclasses import replace
from modules.jobs.store import Row, open_store
file = Path(sys.argv[1])
store = open_store(file)
large = Row(1, "a", 1, "txt2img", "", "x" * 100_000, "queued", 0.0)
store.add(large)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (file.with_name("queue.db-wal").stat().st_size, hard))
store.add(replace(large, number=2))
store.update(1, {"state": "done"})
print([(row.number, row.state) for row in store.load()], flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
store.add(replace(large, number=3))
print([(row.number, row.state) for row in store.load()], flush=True)
store.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit to a file's size there")
def test_disk_that_is_full_is_told_once_and_made_up_for(file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(file)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["[(1, 'queued')]", "[(1, 'done'), (3, 'queued')]"]
    assert done.stderr.count("cannot be written") == 1
    assert done.returncode == 0
