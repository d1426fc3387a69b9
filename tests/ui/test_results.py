from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image
from starlette.requests import Request

from modules.core.app import App
from modules.core.errors import BadInput
from modules.ui.events import in_event_loop
from modules.ui.results import Results
from modules.ui.saving import LOG_COLUMNS, save_picture, zip_pictures


@pytest.fixture
def results(app: App) -> Results:
    made = Results(app, "txt2img", "outdir_txt2img_samples")
    in_event_loop(lambda: build(made))
    return made


def build(results: Results) -> None:
    with gr.Blocks(analytics_enabled=False):
        results.build()


def load(results: Results, job_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    gallery, info = results.load(job_id)
    return gallery, json.loads(info)


def test_load_gives_saved_files_and_what_belongs_to_them(results: Results, run_job: Any) -> None:
    job = run_job(prompt="two lora", n_iter=2)
    gallery, info = load(results, job.id)
    assert gallery["value"] == [str(path) for path in job.result.paths]
    assert gallery["selected_index"] == 0
    assert info["all_seeds"] == [7, 8]
    assert info["infotexts"] == list(job.result.infotexts)
    mine = info["easel"]
    assert mine["files"][0] == "outputs/txt2img-images/00000-7.png"
    assert mine["warnings"] == ["LoRA 'x' is not here."]
    assert (mine["seconds"], mine["memory"]["peak"]) == (1.5, 1 << 20)


def test_unsaved_picture_is_shown_with_its_infotext(results: Results, run_job: Any) -> None:
    gallery, info = load(results, run_job(prompt="unsaved").id)
    with Image.open(gallery["value"][0]) as picture:
        assert picture.info["parameters"].startswith("unsaved")
    assert info["easel"]["files"] == [None]


def test_picture_outside_the_served_folders_is_shown_as_a_copy(
    results: Results, run_job: Any, app: App, tmp_path: Path
) -> None:
    job = run_job(prompt="x")
    (tmp_path / "outputs").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "txt2img-images" / "00000-7.png"
    object.__setattr__(job.result, "paths", (moved,))
    gallery, _ = load(results, job.id)
    assert gallery["value"] != [str(moved)]
    assert Path(gallery["value"][0]).is_file()


def test_load_of_a_forgotten_job_says_so(results: Results) -> None:
    _, info = load(results, "gone")
    assert info == {"easel": {"job": "gone", "missing": True}}


def test_load_of_a_failed_job_has_no_pictures(results: Results, run_job: Any) -> None:
    _, info = load(results, run_job(prompt="broken").id)
    assert info["easel"]["missing"]


def test_save_copies_the_picture_and_notes_it(run_job: Any, app: App, tmp_path: Path) -> None:
    job = run_job(prompt="a, b", negative_prompt="c", n_iter=2)
    said = save_picture(job.result, 1, app.settings.view(), app.paths)
    kept = tmp_path / "log" / "images" / "00001-7.png"
    assert kept.read_bytes() == job.result.paths[1].read_bytes()
    assert str(kept) in said
    rows = list(csv.reader((kept.parent / "log.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0] == list(LOG_COLUMNS)
    assert rows[1] == ["a, b", "8", "8", "8", "DPM++ 2M", "7.0", "50", "00001-7.png", "c"]


def test_saving_twice_keeps_both(run_job: Any, app: App, tmp_path: Path) -> None:
    job = run_job(prompt="x")
    for _ in range(2):
        save_picture(job.result, 0, app.settings.view(), app.paths)
    folder = tmp_path / "log" / "images"
    assert sorted(path.name for path in folder.glob("*.png")) == ["00000-7-1.png", "00000-7.png"]
    assert len((folder / "log.csv").read_text(encoding="utf-8").splitlines()) == 3


def test_no_picture_cannot_be_saved(app: App) -> None:
    with pytest.raises(BadInput, match="no picture"):
        save_picture(None, -1, app.settings.view(), app.paths)


def test_zip_holds_every_picture_with_its_parameters(run_job: Any) -> None:
    job = run_job(prompt="unsaved", n_iter=2)
    with zipfile.ZipFile(io.BytesIO(zip_pictures(job.result))) as archive:
        assert archive.namelist() == ["7.png", "8.png"]
        with Image.open(io.BytesIO(archive.read("8.png"))) as picture:
            assert "Seed: 8" in picture.info["parameters"]


def test_zip_button_answers_none_without_pictures(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    assert results.zip("gone", -1) is None
    assert "no pictures" in capsys.readouterr().out


def asked(host: str) -> gr.Request:
    """A request from an address."""
    return gr.Request(request=Request({"type": "http", "headers": [], "client": (host, 5)}))


def test_folder_of_the_shown_picture_is_told_from_afar(results: Results, run_job: Any) -> None:
    job = run_job(prompt="x")
    reply = json.loads(results.open_folder(job.id, 0, asked("192.168.1.5")))
    assert reply["folder"] == str(job.result.paths[0].parent)
    assert reply["opened"] is False


def test_folder_is_told_without_a_job(results: Results, app: App) -> None:
    reply = json.loads(results.open_folder("", -1, asked("192.168.1.5")))
    assert reply["folder"] == str(app.paths.data / "outputs" / "txt2img-images")
