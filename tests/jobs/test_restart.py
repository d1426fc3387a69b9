"""Programs that end in the middle of their queue, and what the next one makes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("restart_program.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run(folder: Path, scene: str, *prompts: str) -> list[str]:
    """What the program prints, to its end whatever that is."""
    command = [sys.executable, str(PROGRAM), str(folder), scene, *prompts]
    done = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, timeout=60)
    return done.stdout.splitlines()


def run_until(line: str, folder: Path, scene: str, *prompts: str) -> list[str]:
    """Kill -9 the program after this line."""
    command = [sys.executable, str(PROGRAM), str(folder), scene, *prompts]
    said = []
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        for said_line in program.stdout:
            said.append(said_line.strip())
            if said[-1] == line:
                program.kill()
                break
    assert program.returncode == -9
    return said


def works(said: list[str]) -> list[str]:
    """The jobs in the order in which they were done."""
    return [line.split()[1] for line in said if line.startswith("done")]


def tries(said: list[str]) -> list[str]:
    return [line.removeprefix("begin ") for line in said if line.startswith("begin")]


def test_killed_program_goes_on_where_it_was(tmp_path: Path) -> None:
    said = run_until("in b", tmp_path, "hang", "a", "b", "c", "d")
    assert works(said) == ["a"]
    said = run(tmp_path, "run")
    assert said[:2] == ["finished a:done", "waiting b c d"]
    assert tries(said) == ["b try 2", "c try 1", "d try 1"]
    assert works(said) == ["b", "c", "d"]
    said = run(tmp_path, "run", "e")
    assert said[:2] == ["finished d:done c:done b:done a:done", "waiting "]
    assert works(said) == ["e"], "nothing is made twice"


def test_closed_program_goes_on_where_it_was(tmp_path: Path) -> None:
    said = run(tmp_path, "close", "a", "b", "c")
    assert said[-1] == "closed True"
    for _ in range(2):  # a clean end is never held against a job
        said = run(tmp_path, "close")
        assert said[:2] == ["finished a:done", "waiting b c"]
    said = run(tmp_path, "run")
    assert tries(said) == ["b try 4", "c try 1"]
    assert works(said) == ["b", "c"]


def test_job_that_ends_the_program_twice_is_given_up(tmp_path: Path) -> None:
    assert tries(run(tmp_path, "die", "a", "b", "c")) == ["a try 1", "b try 1"]
    assert tries(run(tmp_path, "die")) == ["b try 2"]
    said = run(tmp_path, "die", "d")
    assert said[0] == "finished b:failed a:done"
    assert works(said) == ["c", "d"]


def test_job_whose_pictures_nobody_would_get_is_lost(tmp_path: Path) -> None:
    run_until("in b", tmp_path, "hang", "b", "api 1", "c", "api 2")
    said = run(tmp_path, "run")
    assert "api 1:lost" in said[0] and "api 2:lost" in said[0]
    assert works(said) == ["b", "c"]


def test_second_program_leaves_the_jobs_of_the_first_alone(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), str(tmp_path), "hang", "a", "b", "c"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        while first.stdout.readline() != "in b\n":
            assert first.poll() is None
        said = run(tmp_path, "run", "x")
        assert said[:2] == ["finished ", "waiting "]
        assert works(said) == ["x"], "it works, but keeps nothing"
        first.kill()
    assert run(tmp_path, "run")[1] == "waiting b c"


@pytest.mark.parametrize("scene", ["close", "hang"])
def test_seed_is_the_same_after_the_restart(tmp_path: Path, scene: str) -> None:
    import sqlite3

    if scene == "close":
        run(tmp_path, scene, "b")
    else:
        run_until("in b", tmp_path, scene, "b")
    connection = sqlite3.connect(tmp_path / "queue.db")
    (seed,) = connection.execute("SELECT request ->> '$.params.seed' FROM jobs").fetchone()
    connection.close()
    assert seed >= 0
    assert f"done b seed {seed}" in run(tmp_path, "run")
