"""The extras tab: its fields, its jobs, and pictures that other tabs send to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from modules.core.app import App
from modules.images import read
from modules.jobs.local import LocalBackend
from modules.jobs.queue import JobQueue
from modules.params.extras import ExtrasOptions
from modules.params.face import parameters
from modules.ui.build import assemble, build_page
from modules.ui.events import in_event_loop
from modules.ui.header import Header
from modules.ui.tabs.extras import ExtrasTab

VISITOR: Any = SimpleNamespace(username="ann")
ELEMENTS = (
    *("extras_image", "extras_image_batch", "extras_upscaler_1", "extras_upscaler_2"),
    *("extras_upscaler_2_visibility", "extras_upscaling_resize", "extras_upscaling_resize_w"),
    *("extras_upscaling_resize_h", "extras_upscale_max_side_length", "extras_upscaling_crop"),
    *("extras_generate", "extras_interrupt", "extras_skip", "extras_gallery"),
    *("extras_batch_input_dir", "extras_batch_output_dir"),
    *("extras_open_folder", "extras_send_to_img2img", "extras_send_to_inpaint"),
    *("extras_send_to_extras", "txt2img_send_to_extras", "img2img_send_to_extras"),
)
"""Element ids of A1111 1.10."""


@pytest.fixture
def local(app: App) -> Iterator[App]:
    """An App whose extras are really done."""
    queue = JobQueue(LocalBackend(models=app.models, hooks=app.hooks, paths=app.paths))
    yield replace(app, jobs=queue)
    assert queue.close(5)


@pytest.fixture
def tab(local: App) -> ExtrasTab:
    """The tab on a page of its own."""

    def build() -> ExtrasTab:
        header, tab = Header(local), ExtrasTab(local)
        with gr.Blocks(analytics_enabled=False):
            header.build()
            tab.build(header.state)
        return tab

    return in_event_loop(build)


@pytest.fixture
def file(tmp_path: Path) -> dict[str, Any]:
    """An uploaded picture as gradio describes it."""
    path = tmp_path / "upload.png"
    Image.linear_gradient("L").resize((12, 8)).convert("RGB").save(path)
    return {"path": str(path), "orig_name": "my cat.png"}


def press(tab: ExtrasTab, pictures: Any, mode: str = "extras", **changes: Any) -> dict[str, Any]:
    """What the page hears after Generate, with these values in the fields."""
    from modules.ui.extras_submission import ExtrasSubmission

    source = tab._canvas.component if mode == "extras" else tab._files
    values = {one: one.value for one in tab.form.fields.values()}
    values |= {tab.form.fields[name]: value for name, value in changes.items()}
    submission = ExtrasSubmission(tab.app, tab.form, source)
    reply = json.loads(submission.submit({**values, source: pictures}, VISITOR))
    assert isinstance(reply, dict)
    return reply


def test_tab_has_a1111s_elements(app: App) -> None:
    page = build_page(app).get_config_file()
    ids = {row["props"].get("elem_id") for row in page["components"]}
    assert set(ELEMENTS) <= ids


def test_every_field_has_a_tooltip_and_the_scripts_know_it(app: App) -> None:
    config = json.loads(in_event_loop(lambda: assemble(app))[1])
    assert all(field["tooltip"] for field in config["tabs"]["extras"])
    names = {one.name for one in parameters(ExtrasOptions) if one.face.widget}
    assert {field["name"] for field in config["tabs"]["extras"]} == names
    assert [mode["name"] for mode in config["modes"]["extras"]] == ["extras", "batch", "folder"]


def test_generate_queues_a_job_whose_picture_is_saved(tab: ExtrasTab, file: Any) -> None:
    reply = press(tab, file, upscaling_resize=2)
    job = tab.app.jobs.get(reply["job"])
    assert job is not None
    result = job.future.result(timeout=30)
    assert (job.request.title, job.request.user) == ("my cat.png", "ann")
    assert result.images[0].size == (24, 16)
    path = result.paths[0]
    assert path is not None and path.is_relative_to(tab.app.paths.data / "outputs/extras-images")
    with Image.open(path) as saved:
        words = "Postprocess upscale by: 2, Postprocess upscaler: Lanczos"
        assert read(saved).items == {"postprocessing": words}
    gallery, info = tab.results.load(job.id)
    assert gallery["value"] == [str(path)]
    assert json.loads(info)["infotexts"] == [words]


def test_batch_takes_all_files_and_keeps_their_names(tab: ExtrasTab, file: Any) -> None:
    files = [file, {**file, "orig_name": "other.png"}]
    reply = press(tab, files, "batch", resize_mode=1, upscaling_resize_w=64, upscaling_resize_h=64)
    job = tab.app.jobs.get(reply["job"])
    assert job is not None
    result = job.future.result(timeout=30)
    assert [path.name for path in result.paths if path] == ["my cat.png", "other.png"]
    assert {image.size for image in result.images} == {(64, 64)}


def test_folder_goes_into_another_folder(tab: ExtrasTab, tmp_path: Path) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    for name in ("a.png", "b.jpg"):
        Image.new("RGB", (10, 6), "red").save(source / name)
    (source / "0broken.png").write_bytes(b"no picture")
    panel = tab._folder
    values = {one: one.value for one in tab.form.fields.values()}
    values |= {tab.form.fields["upscaling_resize"]: 2, panel.resume: True}
    values |= {panel.input_folder: str(source), panel.output_folder: ""}
    reply = json.loads(panel.start(values, VISITOR)[0])
    assert "error" not in reply
    run = panel._run
    assert run is not None and run.wait(60)
    assert (run.progress.done, run.progress.failed) == (2, 1)
    folder = tab.app.paths.data / "outputs/extras-images/photos"
    assert sorted(path.name for path in folder.glob("[!.]*")) == ["a.png", "b.png"]
    with Image.open(folder / "b.png") as made:
        assert made.size == (20, 12)
        assert "postprocessing" in read(made).items
    assert "2 made" in panel.report()[0]
    panel.start(values, VISITOR)
    assert panel._run is not None and panel._run.wait(60) and panel._run.progress.skipped == 2


def test_folder_skips_only_what_was_made_from_the_same_in_the_same_way(
    tab: ExtrasTab, tmp_path: Path
) -> None:
    panel, factor = tab._folder, tab.form.fields["upscaling_resize"]
    values = {one: one.value for one in tab.form.fields.values()} | {panel.resume: True}
    values[panel.output_folder] = ""
    for name, colour in (("red", "red"), ("blue", "blue")):
        (tmp_path / name / "photos").mkdir(parents=True)
        Image.new("RGB", (10, 6), colour).save(tmp_path / name / "photos" / "a.png")

    def run(source: str, times: int) -> tuple[int, int]:
        values.update({panel.input_folder: str(tmp_path / source / "photos"), factor: times})
        panel.start(values, VISITOR)
        assert panel._run is not None and panel._run.wait(60)
        return panel._run.progress.done, panel._run.progress.skipped

    assert [run("red", 2), run("red", 3), run("blue", 2)] == [(1, 0)] * 3
    assert [run("red", 2), run("red", 3), run("blue", 2)] == [(0, 1)] * 3
    folder = tab.app.paths.data / "outputs/extras-images/photos"
    made = []
    for name in ("a.png", "a-1.png", "a-2.png"):
        with Image.open(folder / name) as image:
            made.append((image.size, image.getpixel((0, 0))))
    red, blue = (255, 0, 0), (0, 0, 255)
    assert made == [((20, 12), red), ((30, 18), red), ((20, 12), blue)]
    (folder / "a-1.png").unlink()
    assert run("red", 3) == (1, 0)


@pytest.mark.parametrize(
    ("folder", "upscaler", "element"),
    [
        ("", "Lanczos", "extras_batch_input_dir"),
        ("/no/such/folder", "Lanczos", "extras_batch_input_dir"),
        ("", "None", "extras_upscaler_1"),
    ],
)
def test_folder_that_cannot_be_used_is_told(
    tab: ExtrasTab, folder: str, upscaler: str, element: str
) -> None:
    panel = tab._folder
    values = {one: one.value for one in tab.form.fields.values()}
    values |= {panel.input_folder: folder, panel.output_folder: "", panel.resume: True}
    values[tab.form.fields["upscaler_1"]] = upscaler
    assert json.loads(panel.start(values, VISITOR)[0])["field"] == element


@pytest.mark.parametrize(
    ("pictures", "mode", "changes", "element", "words"),
    [
        (None, "extras", {}, "extras_image", "drop one on the field"),
        ([], "batch", {}, "extras_image_batch", "drop one on the field"),
        ({"path": "/gone.png"}, "extras", {}, "extras_image", "load it again"),
        ("file", "extras", {"upscaler_1": "None"}, "extras_upscaler_1", "choose an upscaler"),
        ("file", "extras", {"upscaler_1": "gone"}, "extras_upscaler_1", "Unknown upscaler"),
        ("file", "extras", {"upscaling_resize": 0}, "extras_upscaling_resize", "greater than 0"),
    ],
)
def test_errors_name_their_field(
    tab: ExtrasTab, file: Any, pictures: Any, mode: str, changes: Any, element: str, words: str
) -> None:
    reply = press(tab, file if pictures == "file" else pictures, mode, **changes)
    assert (reply["field"], words in reply["error"]) == (element, True)


def test_file_that_is_no_picture_is_told(tab: ExtrasTab, tmp_path: Path, file: Any) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    reply = press(tab, {"path": str(path)})
    assert reply["field"] == "extras_image"
    reply = press(tab, [file, {"path": str(path)}], "batch")
    assert reply["field"] == "extras_image_batch"
    assert "imageList.1" in reply["error"]


def test_sent_picture_brings_its_parameters_along(app: App, run_job: Any) -> None:
    job = run_job(prompt="a red heart")
    from modules.ui.results import Results

    results = Results(app, "txt2img", "outdir_txt2img_samples")

    def build() -> None:
        with gr.Blocks(analytics_enabled=False):
            results.build()

    in_event_loop(build)
    path, infotext = results.hand_over(job.id, 0)
    with Image.open(path) as picture:
        assert read(picture).infotext == infotext


def test_menus_follow_the_files(tab: ExtrasTab, tmp_path: Path) -> None:
    from modules.model_manager import FileKind, Library
    from modules.model_manager.upscaler_files import UpscalerFiles

    folder = tmp_path / "ESRGAN"
    folder.mkdir()
    (folder / "4x-Sharp.safetensors").touch()
    library = Library({FileKind.UPSCALER: [folder]})
    tab.app.models.upscalers._files = UpscalerFiles(library, tab.app.settings.view)
    updates = tab.form.file_menus()
    menus = {tab.form.fields["upscaler_1"], tab.form.fields["upscaler_2"]}
    assert updates.keys() == menus
    wanted = ["None", "Lanczos", "Nearest", "4x-Sharp"]
    assert all(update["choices"] == wanted for update in updates.values())
