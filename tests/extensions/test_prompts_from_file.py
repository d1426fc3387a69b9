"""Prompts from file or textbox over a job that makes coloured squares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.core.errors import BadInput
from modules.extensions.host import ScriptHost
from modules.params.generation import Txt2ImgParams
from modules.params.styles import Style, StyleDatabase
from modules.processing.run import Services
from modules.sampling.table import SAMPLERS
from tests.extensions.plot_job import SquaresJob, txt2img

from easel_plots.prompt_lines import read_lines  # isort: skip
from easel_plots.prompts import run_prompts  # isort: skip

PARAMETERS = tuple(Txt2ImgParams.model_fields)


def watch(p: Any) -> Any:
    return p.prompt, p.seed, p.steps


def test_each_line_is_a_job_of_its_own(services: Services) -> None:
    job = SquaresJob(services.models, watch=watch)
    lines = 'a blue fox\n\n--prompt "a wolf" --steps 5 --seed 9 --cfg_scale 4\n'
    made = run_prompts(txt2img(job), False, False, "start", lines)
    assert job.seen == [("a blue fox a red fox", 7, 8), ("a wolf a red fox", 9, 5)]
    assert made.all_prompts == ["a blue fox a red fox", "a wolf a red fox"]
    assert made.all_seeds == [7, 9] and len(made.images) == 2 and job.passes == [2]
    assert made.index_of_first_image == 0 and len(made.infotexts) == len(made.paths) == 2


def test_prompts_go_to_the_end_and_stand_alone_without_a_prompt(services: Services) -> None:
    job = SquaresJob(services.models, watch=lambda p: (p.prompt, p.negative_prompt))
    line = "--prompt a blue wolf --negative_prompt very bad"
    run_prompts(txt2img(job, negative_prompt="ugly"), False, False, "end", line)
    run_prompts(txt2img(job, prompt=""), False, False, "end", line)
    assert job.seen == [("a red fox a blue wolf", "ugly very bad"), ("a blue wolf", "very bad")]


def test_seeds_count_on_line_by_line(services: Services) -> None:
    job = SquaresJob(services.models, watch=lambda p: p.seed)
    run_prompts(txt2img(job, n_iter=2, batch_size=3), True, False, "start", "a\nb\nc")
    assert job.seen == [7, 13, 19] and job.passes == [6]
    job = SquaresJob(services.models, watch=lambda p: p.seed)
    run_prompts(txt2img(job, seed=2**64 - 1), True, False, "start", "a\nb")
    assert job.seen == [2**64 - 1, 0]


def test_a_random_seed_is_shared_if_asked_for(services: Services) -> None:
    job = SquaresJob(services.models, watch=lambda p: p.seed)
    run_prompts(txt2img(job, seed=-1), False, True, "start", "a\nb\nc")
    assert len(set(job.seen)) == 1 and job.seen[0] >= 0
    job = SquaresJob(services.models, watch=lambda p: p.seed)
    run_prompts(txt2img(job, seed=-1), False, False, "start", "a\nb")
    assert job.seen == [-1, -1]


OPTIONS: list[tuple[str, str, Any]] = [
    ("--negative_prompt bad", "negative_prompt", "bad"),
    ("--styles 'Oil,Ink'", "styles", ["Oil", "Ink"]),
    ("--seed 5", "seed", 5),
    ("--subseed 5", "subseed", 5),
    ("--subseed_strength 0.5", "subseed_strength", 0.5),
    ("--seed_resize_from_h 64", "seed_resize_from_h", 64),
    ("--seed_resize_from_w 64", "seed_resize_from_w", 64),
    ("--sampler_name 'euler A'", "sampler_name", "Euler a"),
    ("--sampler_index 1", "sampler_name", SAMPLERS[1].name),
    ("--sampler_index Heun", "sampler_name", "Heun"),
    ("--scheduler karras", "scheduler", "Karras"),
    ("--batch_size 2", "batch_size", 2),
    ("--n_iter 2", "n_iter", 2),
    ("--steps 3", "steps", 3),
    ("--cfg_scale 4", "cfg_scale", 4.0),
    ("--width 32", "width", 32),
    ("--height 32", "height", 32),
    ("--restore_faces true", "restore_faces", True),
    ("--tiling True", "tiling", True),
    ("--do_not_save_samples yes", "do_not_save_samples", True),
    ("--do_not_save_grid false", "do_not_save_grid", False),
    ("--prompt_for_display 'shown here'", "prompt", "a red fox"),
    ("--enable_hr true", "enable_hr", True),
    ("--denoising_strength .25", "denoising_strength", 0.25),
]


@pytest.mark.parametrize(("line", "name", "wanted"), OPTIONS)
def test_options_change_the_parameters(
    services: Services, tmp_path: Path, line: str, name: str, wanted: Any
) -> None:
    styles = StyleDatabase([str(tmp_path / "styles.csv")])
    for style in ("Oil", "Ink"):
        styles.save(Style(style, "", ""))
    job = SquaresJob(services.models, styles, watch=lambda p: getattr(p, name))
    run_prompts(txt2img(job), False, False, "start", line)
    assert job.seen == [wanted] and type(job.seen[0]) is type(wanted)


def test_settings_hold_for_their_line_alone(services: Services) -> None:
    job = SquaresJob(services.models, watch=lambda p: dict(p.override_settings))
    lines = "--sd_model tiny15 --outpath_samples foxes --outpath_grids grids\na wolf"
    run_prompts(txt2img(job), False, False, "start", lines)
    wanted = {"sd_model_checkpoint": "tiny15", "outdir_samples": "foxes", "outdir_grids": "grids"}
    assert job.seen == [wanted, {}]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("", "at least one line"),
        ("a\n--steps", "line 2: '--steps' .*value is expected"),
        ("a\n\n--stepz 4", "line 3: '--stepz' .*known options: .*steps"),
        ('--prompt "a', "line 1: .*no closing quotation"),
        ("--steps 4 5", "line 1: '4 5' .*one value"),
        ("--steps many", "line 1: 'steps many' .*integer"),
        ("--steps 0", "line 1: 'steps 0' .*greater than or equal to 1"),
        ("--tiling perhaps", "line 1: 'tiling perhaps' .*boolean"),
        ("--sampler_name Eular", "line 1: 'Eular' .*did you mean 'Euler'"),
        ("--sampler_index 999", "line 1: '999' .*counted from 0"),
        ("--sd_model nothere", "line 1: 'nothere' .*Unknown checkpoint"),
        ("--styles Oyl", "line 1: 'Oyl' .*Unknown style"),
        ("--init_images x", "line 1: '--init_images' .*known options"),
        ("-- prompt", "line 1: '--' .*such as --prompt"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_by_its_number(
    services: Services, lines: str, told: str
) -> None:
    job = SquaresJob(services.models)
    with pytest.raises(BadInput, match=told):
        run_prompts(txt2img(job), False, False, "start", f"{lines}")
    assert job.seen == []


def test_bad_arguments_are_refused(services: Services) -> None:
    with pytest.raises(BadInput, match="Insert prompts at the: 'middle' .*start, end"):
        run_prompts(txt2img(SquaresJob(services.models)), False, False, "middle", "a")
    with pytest.raises(BadInput, match="Iterate seed every line: 'false' .*true or false"):
        run_prompts(txt2img(SquaresJob(services.models)), "false", False, "start", "a")
    with pytest.raises(BadInput, match="same random seed .*: 'no' .*true or false"):
        run_prompts(txt2img(SquaresJob(services.models)), False, "no", "start", "a")
    with pytest.raises(BadInput, match="10001 lines"):
        read_lines("a\n" * 10_001, PARAMETERS)


def test_dashes_inside_a_prompt_are_text() -> None:
    (line,) = read_lines("a fox -- a very --big one", PARAMETERS)
    assert line.values == {"prompt": "a fox -- a very --big one"}


def test_a_stop_keeps_what_was_made(services: Services) -> None:
    job = SquaresJob(services.models, stop_after=2)
    assert len(run_prompts(txt2img(job), False, False, "start", "a\nb\nc").images) == 2
    none = SquaresJob(services.models, stop_after=0)
    assert run_prompts(txt2img(none), False, False, "start", "a").images == []


@given(st.one_of(st.text(), st.text("-abc _'\"\\123\n").map(lambda text: f"--{text}")))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        lines = read_lines(text, PARAMETERS)
    except BadInput:
        return
    assert all(line.values or line.settings or "display" in text for line in lines)


def test_a_file_is_read_as_text(host: ScriptHost, tmp_path: Path) -> None:
    import sys

    script = host.find("txt2img", "prompts from file or textbox")
    module = sys.modules[type(script).__module__]
    file = tmp_path / "prompts.txt"
    file.write_bytes("\ufeffa fox\nein Fuchs im Käfig\n".encode())
    assert module.read_file(str(file)) == "a fox\nein Fuchs im Käfig\n"
    assert module.read_file(None) == ""
