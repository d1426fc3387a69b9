"""Scripts from the folder to the picture: found, described, run, stopped, and refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import webui
from modules.core.errors import BadInput, EaselError, Interrupted, NotFound
from modules.core.hooks import Hooks
from modules.core.paths import paths_of
from modules.core.settings import Settings
from modules.extensions import Script
from modules.extensions.arguments import Control
from modules.extensions.host import ScriptHost
from modules.extensions.load import Extension, find_extensions, load_scripts
from modules.images import encode_image
from modules.jobs.progress import JobReport
from modules.params import Request
from modules.params.infotext_read import read_infotext
from modules.params.styles import Style, StyleDatabase
from modules.processing.p import Processing
from modules.processing.prepare import prepare_request
from modules.processing.processed import Processed, process_images
from modules.processing.report import SilentReport, Stop
from modules.processing.result import Result
from modules.processing.run import Services, run_request
from modules.processing.script_run import run_script
from modules.setup.flags import parse_flags

SMALL = {"width": 64, "height": 64, "steps": 2, "sampler_name": "Euler", "seed": 7, "prompt": "a"}


@pytest.fixture
def own(services: Services, tmp_path: Path) -> Services:
    """The shared model with hooks, styles and an outputs folder of this test alone."""
    paths = dataclasses.replace(services.paths, data=tmp_path)
    styles = StyleDatabase([str(tmp_path / "styles.csv")])
    styles.save(Style("Oil", "oil painting of {prompt}", ""))
    return dataclasses.replace(services, hooks=Hooks(), paths=paths, styles=styles)


def ask(services: Services, name: str | None, *arguments: Any, **values: Any) -> Request:
    saves = values.pop("save", False)
    return prepare_request(
        SMALL | values,
        kind=values.pop("kind", "txt2img"),
        settings=Settings(None).view(),
        catalogue=services.models.catalogue,
        styles=services.styles,
        script_name=name,
        script_args=arguments,
        save_samples=saves,
        save_grid=saves,
    )


def make(host: ScriptHost, services: Services, name: str, *arguments: Any, **values: Any) -> Result:
    request = ask(services, name, *arguments, **values)
    run = host.runner(request)
    assert run is not None
    return run_script(request, run, services, SilentReport())


def test_scripts_are_found_by_tab_and_title(sample_host: ScriptHost) -> None:
    titles = {
        kind: [script.title() for script in sample_host.selectable(kind)]
        for kind in ("txt2img", "img2img")
    }
    assert titles == {"txt2img": ["Two seeds"], "img2img": ["Only pictures!", "Two seeds"]}
    assert sample_host.find("txt2img", "TWO SEEDS").is_txt2img
    with pytest.raises(NotFound, match="two sheeps"):
        sample_host.find("txt2img", "two sheeps")


def test_element_ids_name_the_tab_where_both_have_the_script(sample_host: ScriptHost) -> None:
    both, one = (
        sample_host.find("img2img", "two seeds"),
        sample_host.find("img2img", "only pictures!"),
    )
    assert both.elem_id("apart") == "script_img2img_two_seeds_apart"
    assert one.elem_id("x") == "script_only_pictures_x"


def test_a_broken_script_is_named_and_the_others_are_there(sample_host: ScriptHost) -> None:
    ((path, why),) = sample_host.failures
    assert path.endswith("broken.py") and "no_such_package_anywhere" in why


def test_disabled_extensions_are_not_loaded(sample_host: ScriptHost) -> None:
    folders = {row.folder.parent for row in sample_host.extensions}
    rows = find_extensions(folders, disabled=["SAMPLE", "broken"])
    assert [row.is_enabled for row in rows] == [False, False]
    assert load_scripts(rows).scripts == ()


def test_arguments_that_are_left_out_have_their_defaults(sample_host: ScriptHost) -> None:
    script = sample_host.find("txt2img", "two seeds")
    apart, layout = sample_host.controls(script)
    assert (apart.label, apart.minimum, apart.maximum, apart.step) == ("Seeds apart", 1, 100, 1)
    assert (layout.value, layout.choices) == (0, ("row", "column"))
    assert sample_host.arguments(script, [9]) == (9, 0)
    with pytest.raises(BadInput, match="at most 2 arguments: Seeds apart, Layout"):
        sample_host.arguments(script, [1, 2, 3])


def test_each_picture_is_that_of_an_ordinary_job(sample_host: ScriptHost, own: Services) -> None:
    result = make(sample_host, own, "Two seeds", 3)
    grid, *pictures = (np.asarray(image) for image in result.images)
    for number, seed in enumerate((7, 10)):
        plain = run_request(ask(own, None, seed=seed), own, SilentReport())
        assert np.array_equal(pictures[number], np.asarray(plain.images[0]))
        assert np.array_equal(grid[:, number * 64 : number * 64 + 64], pictures[number])
        own_text = plain.infotexts[0].replace(", Version", ", Script: Two seeds, Version")
        assert result.infotexts[1 + number] == own_text
    assert result.info["all_seeds"] == [7, 10] and result.index_of_first_image == 1
    assert result.info["sd_model_name"] and result.info["infotexts"] == list(result.infotexts)


def test_a_script_that_gives_nothing_back_leaves_the_job_as_it_changed_it(
    sample_host: ScriptHost, own: Services
) -> None:
    picture = encode_image(run_request(ask(own, None), own, SilentReport()).images[0], "png")
    import base64

    text = base64.b64encode(picture).decode()
    result = make(sample_host, own, "only pictures!", kind="img2img", init_images=[text])
    assert result.info["all_seeds"] == [11] and len(result.images) == 1


class Lists(Script):
    """Five prompts in batches of two."""

    def title(self) -> str:
        return "Lists"

    def run(self, p: Processing) -> Processed:
        p.prompt = [f"word {number}" for number in range(5)]
        p.seed = [1, 2, 3, 4, 5]
        p.n_iter, p.batch_size = 3, 2
        p.styles = ["Oil"]
        p.override_settings = {"CLIP_stop_at_last_layers": 2}
        p.do_not_save_samples = True
        return process_images(p)


def test_lists_styles_and_settings_of_a_script(own: Services) -> None:
    result = run_script(ask(own, None, save=True), Lists().run, own, SilentReport())
    assert result.info["all_prompts"] == [f"oil painting of word {n}" for n in range(5)]
    assert result.info["all_seeds"] == [1, 2, 3, 4, 5]
    pictures = result.images[result.index_of_first_image :]
    assert len(pictures) == 5 and "Clip skip: 2" in result.infotexts[-1]
    assert [path is not None for path in result.paths] == [True] + [False] * 5  # only the grid
    params = read_infotext(result.infotexts[-1]).params
    assert (params["prompt"], params["seed"]) == ("oil painting of word 4", 5)


def test_too_few_seeds_in_a_list_are_refused(own: Services) -> None:
    class Few(Lists):
        def run(self, p: Processing) -> Processed:
            p.seed = [1]
            p.n_iter = 2
            return process_images(p)

    with pytest.raises(BadInput, match="one for each of 2 pictures"):
        run_script(ask(own, None), Few().run, own, SilentReport())


class Endless(Script):
    """Goes on until it is stopped; the picture it has then is the result."""

    def __init__(self, report: JobReport, stop: Stop, at: int) -> None:
        self._report, self._stop, self._at = report, stop, at

    def title(self) -> str:
        return "Endless"

    def run(self, p: Processing) -> Processed:
        images, number = [], 0
        while not p.job.is_stopped:
            if number == self._at:
                self._report.ask(self._stop)
            images += process_images(p).images
            number += 1
        return Processed(p, images)


def test_stopping_keeps_what_is_there(own: Services) -> None:
    report = JobReport(-1)
    result = run_script(ask(own, None), Endless(report, Stop.NOW, 2).run, own, report)
    assert len(result.images) == 2 and result.interrupted
    report = JobReport(-1)
    with pytest.raises(Interrupted):
        run_script(ask(own, None), Endless(report, Stop.NOW, 0).run, own, report)


def test_progress_runs_once_over_the_whole_script(own: Services) -> None:
    seen: list[tuple[int, int]] = []

    class Watched(JobReport):
        def begin_pass(self, text: str, steps: int) -> None:
            super().begin_pass(text, steps)
            seen.append((self.progress.pass_number, self.progress.passes))

    class Three(Lists):
        def run(self, p: Processing) -> Processed:
            p.job.expect(3)
            return [process_images(p) for _ in range(3)][-1]

    class Unsaid(Lists):
        def run(self, p: Processing) -> Processed:
            return [process_images(p) for _ in range(3)][-1]

    run_script(ask(own, None), Three().run, own, Watched(-1))
    run_script(ask(own, None), Unsaid().run, own, Watched(-1))
    assert seen == [(1, 3), (2, 3), (3, 3), (1, 1), (2, 2), (3, 3)]


def test_a_fault_of_a_script_is_an_error_that_names_it(tmp_path: Path, own: Services) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/wrong.py").write_text(
        "from modules.extensions import Script\n"
        "class Wrong(Script):\n"
        "    def title(self): return 'Wrong'\n"
        "    def run(self, p): return 1 / 0\n"
    )
    host = ScriptHost([Extension("wrong", tmp_path)], lambda _script: ())
    with pytest.raises(EaselError, match="'Wrong' failed: ZeroDivisionError"):
        make(host, own, "wrong")


def test_what_one_call_notes_does_not_stand_in_the_next(own: Services) -> None:
    class Skips(Lists):
        def run(self, p: Processing) -> Processed:
            p.override_settings = {"emphasis": "No norm"}
            first = process_images(p)
            p.override_settings = {}
            first.infotexts += process_images(p).infotexts
            first.images.append(first.images[0])
            return first

    result = run_script(ask(own, None), Skips().run, own, SilentReport())
    assert ["Emphasis: No norm" in text for text in result.infotexts] == [True, False]


def test_a_fault_of_a_script_stands_in_the_log(
    tmp_path: Path, own: Services, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/wrong.py").write_text(
        "from modules.extensions import Script\n"
        "class Wrong(Script):\n"
        "    def title(self): return 'Wrong'\n"
        "    def run(self, p): return 1 / 0\n"
    )
    with pytest.raises(EaselError):
        make(ScriptHost([Extension("wrong", tmp_path)], lambda _script: ()), own, "wrong")
    assert "ZeroDivisionError" in caplog.text and "Wrong" in caplog.text


def test_none_is_no_script(own: Services) -> None:
    assert ask(own, "None").script_name is None


class Plots(Script):
    """One picture and a grid of it, stopped or not."""

    def __init__(self, report: JobReport, stops_at: int) -> None:
        self._report, self._stops_at = report, stops_at

    def title(self) -> str:
        return "Plots"

    def run(self, p: Processing) -> Processed:
        images = []
        for number in range(2):
            if p.job.is_stopped:
                break
            images += process_images(p).images
            if number == self._stops_at:
                self._report.ask(Stop.NOW)
        made = Processed(p, images)
        made.paths[0] = p.job.save_grid(p, images[0], "a grid")
        return made


@pytest.mark.parametrize(("stops_at", "is_cut"), [(0, True), (1, False), (2, False)])
def test_the_grid_of_a_script_that_was_cut_short_is_not_saved(
    stops_at: int, is_cut: bool, own: Services
) -> None:
    report = JobReport(-1)
    request = ask(own, None, save=True, do_not_save_samples=True)
    result = run_script(request, Plots(report, stops_at).run, own, report)
    assert (result.interrupted, result.paths[0] is None) == (is_cut, is_cut)


def test_warming_reads_all_controls_once_and_survives_broken_ones(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/two.py").write_text(
        "from modules.extensions import Script\n"
        "class Wrong(Script):\n"
        "    def title(self): return 'A wrong one'\n"
        "class Right(Script):\n"
        "    def title(self): return 'Right'\n"
    )
    read: list[str] = []

    def read_controls(script: Script) -> list[Control]:
        read.append(script.title())
        if script.title() != "Right":
            raise RuntimeError("its ui is broken")
        return []

    host = ScriptHost([Extension("two", tmp_path)], read_controls)
    host.warm()
    assert read == ["A wrong one", "Right"] * 2
    host.check("txt2img", "right", ())
    host.check("img2img", "right", ())
    assert len(read) == 4


def test_warming_survives_a_script_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/untitled.py").write_text(
        "from modules.extensions import Script\n"
        "class Untitled(Script):\n"
        "    def title(self): raise RuntimeError('no title')\n"
    )
    ScriptHost([Extension("untitled", tmp_path)], lambda _script: ()).warm()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], {"mine": "data", "easel-own": "data", "other": "root"}),
        (["--disable-extra-extensions"], {"easel-own": "root"}),
        (["--disable-all-extensions"], {}),
        (["--disable-all-extensions", "--disable-extra-extensions"], {}),
    ],
)
def test_flags_turn_extensions_off(
    tmp_path: Path, flags: list[str], expected: dict[str, str]
) -> None:
    for name in ("data/extensions/mine", "data/extensions/easel-own", "root/extensions/easel-own",
                 "root/extensions/other"):  # fmt: skip
        (tmp_path / name).mkdir(parents=True)
    parsed = parse_flags(["--data-dir", str(tmp_path / "data"), *flags], {}, tmp_path / "root")
    host = webui.build_scripts(parsed, paths_of(parsed, tmp_path / "root"))
    found = {row.name: row.folder.parents[1].name for row in host.extensions}
    assert found == expected
    assert parsed.warnings == ()


@pytest.mark.parametrize("folder", ["../../elsewhere", "/elsewhere/easel"])
def test_a_script_cannot_write_outside_the_data_folder(folder: str, own: Services) -> None:
    class Escapes(Lists):
        def run(self, p: Processing) -> Processed:
            p.override_settings = {"outdir_samples": folder}
            return process_images(p)

    with pytest.raises(BadInput, match="outdir_samples"):
        run_script(ask(own, None, save=True), Escapes().run, own, SilentReport())
