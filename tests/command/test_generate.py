from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from modules.command.generate import make_parser
from modules.images import read
from modules.params import Txt2ImgParams, parameters

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("row", list(parameters(Txt2ImgParams)), ids=lambda row: row.name)
def test_every_parameter_is_an_option(row) -> None:
    text = make_parser().format_help()
    assert row.name == "prompt" or f"--{row.name.replace('_', '-')}" in text


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "webui.py", "generate", *arguments, "--skip-install"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)


def test_command_writes_the_file_and_says_which(tmp_path: Path, tiny_models: Path) -> None:
    out = tmp_path / "heart.png"
    done = run("a red heart", "--steps", "1", "--width", "64", "--height", "64", "--seed", "1",
               "--set", "CLIP_stop_at_last_layers=2", "-o", str(out),
               "--models-dir", str(tiny_models), "--data-dir", str(tmp_path))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out)
    with Image.open(out) as image:
        assert image.size == (64, 64)
        text = read(image).infotext
    assert text.startswith("a red heart\nSteps: 1, Sampler: DPM++ 2M, ")
    assert "Seed: 1," in text and "Clip skip: 2" in text
    assert not (tmp_path / "outputs").exists()


def test_mistake_is_one_line_and_status_1(tmp_path: Path, tiny_models: Path) -> None:
    done = run("x", "--sampler-name", "Eular", "--models-dir", str(tiny_models),
               "--data-dir", str(tmp_path))  # fmt: skip
    assert done.returncode == 1
    assert "did you mean 'Euler'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_model_it_says_how_to_get_one(tmp_path: Path) -> None:
    done = run("x", "--models-dir", str(tmp_path), "--data-dir", str(tmp_path))
    assert done.returncode == 1
    assert "Stable-diffusion" in done.stderr
    assert "Traceback" not in done.stderr
