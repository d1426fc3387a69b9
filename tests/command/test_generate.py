from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from modules.command.generate import make_parser
from modules.images import read
from modules.params import Img2ImgParams, Txt2ImgParams, parameters

ROOT = Path(__file__).parents[2]


ROWS = {row.name: row for model in (Img2ImgParams, Txt2ImgParams) for row in parameters(model)}


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_every_parameter_is_an_option(row) -> None:
    text = make_parser().format_help()
    is_file = row.name in ("prompt", "init_images", "mask", "latent_mask")
    assert is_file or f"--{row.name.replace('_', '-')}" in text


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


def test_a_picture_and_a_mask_make_it_inpainting(tmp_path: Path, tiny_models: Path) -> None:
    source, mask, out = (tmp_path / name for name in ("in.png", "mask.png", "out.png"))
    Image.new("RGB", (72, 64), (200, 30, 30)).save(source)
    Image.new("L", (72, 64), 0).save(mask)
    with Image.open(mask) as marked:
        marked.paste(255, (40, 0, 72, 64))
        marked.save(mask)
    done = run("blue", "--image", str(source), "--mask", str(mask), "--steps", "2", "--seed", "1",
               "--mask-blur", "0", "--no-inpaint-full-res", "-o", str(out),
               "--models-dir", str(tiny_models), "--data-dir", str(tmp_path))  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Image.open(out) as image:
        assert image.size == (72, 64)
        assert image.crop((0, 0, 40, 64)).getcolors() == [(40 * 64, (200, 30, 30))]
        assert len(image.crop((40, 0, 72, 64)).getcolors(10**6)) > 1
        assert "Denoising strength" in read(image).infotext


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--mask", "m.png"), "give --image FILE"),
        (("--resize-mode", "1"), "give --image FILE"),
        (("--image", "nowhere.png"), "nowhere.png"),
        (("--script", "no such plot"), "no such plot"),
        (("--script-args", "1,2"), "no JSON list"),
    ],
)
def test_what_does_not_fit_is_refused(
    options: tuple[str, ...], part: str, tmp_path: Path, tiny_models: Path
) -> None:
    done = run("x", *options, "--models-dir", str(tiny_models), "--data-dir", str(tmp_path))
    assert done.returncode != 0
    assert part in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("lone", "names"),
    [("false", ["plot.png"]), ("true", ["plot-1.png", "plot-2.png", "plot-grid.png"])],
)
def test_a_plot_is_written(lone: str, names: list[str], tmp_path: Path, tiny_models: Path) -> None:
    arguments = f'[4, "1,2", [], 0, "", [], 0, "", [], false, {lone}]'
    done = run("a cat", "--script", "x/y/z plot", "--script-args", arguments, "--width", "64",
               "--height", "64", "--steps", "1", "-o", str(tmp_path / "plot.png"),
               "--models-dir", str(tiny_models), "--data-dir", str(tmp_path / "data"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.glob("*.png")) == names
    assert sorted(Path(line).name for line in done.stdout.split()) == names
