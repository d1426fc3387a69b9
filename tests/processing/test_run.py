"""Jobs through the tiny model: what comes out, where it lies, what hooks see, how it stops."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.core.errors import BadInput, Interrupted
from modules.core.hooks import Hooks
from modules.core.settings import Settings
from modules.images import read
from modules.params import Request
from modules.params.infotext_read import read_infotext
from modules.processing.prepare import prepare_request
from modules.processing.report import SilentReport, Stop
from modules.processing.result import Result
from modules.processing.run import Services, run_request

SMALL = {"width": 64, "height": 64, "steps": 2, "sampler_name": "Euler", "seed": 7}


@pytest.fixture
def own(services: Services, tmp_path: Path) -> Services:
    """The shared model with hooks and an outputs folder of this test alone."""
    paths = dataclasses.replace(services.paths, data=tmp_path)
    return dataclasses.replace(services, hooks=Hooks(), paths=paths)


def ask(services: Services, overrides: dict[str, Any] | None = None, **values: Any) -> Request:
    saves = values.pop("save", False)
    return prepare_request(
        SMALL | values,
        settings=Settings(None).view(),
        catalogue=services.models.catalogue,
        overrides=overrides,
        save_samples=saves,
        save_grid=saves,
    )


def make(services: Services, overrides: dict[str, Any] | None = None, **values: Any) -> Result:
    return run_request(ask(services, overrides, **values), services, SilentReport())


def pixels(result: Result, number: int = 0) -> np.ndarray[Any, Any]:
    return np.asarray(result.images[number]).astype(int)


def test_same_request_gives_the_same_bytes(own: Services) -> None:
    assert make(own).images[0].tobytes() == make(own).images[0].tobytes()


def test_picture_of_a_batch_equals_the_single_picture_of_its_seed(own: Services) -> None:
    batch = make(own, batch_size=2, n_iter=2)
    assert batch.info["all_seeds"] == [7, 8, 9, 10]
    for number in range(4):
        alone = make(own, seed=7 + number)
        assert np.abs(pixels(batch, number) - pixels(alone)).max() <= 1


def test_random_seeds_differ_and_are_told(own: Services) -> None:
    first, second = make(own, seed=-1), make(own, seed=-1)
    assert first.info["seed"] != second.info["seed"]
    assert f"Seed: {first.info['seed']}," in first.infotexts[0]
    again = make(own, seed=first.info["seed"])
    assert again.images[0].tobytes() == first.images[0].tobytes()


def test_infotext_gives_the_picture_back(own: Services) -> None:
    first = make(
        own, {"CLIP_stop_at_last_layers": 2, "randn_source": "NV"},
        prompt="a (red:1.2) fox, [in|on] snow", negative_prompt="blurry", steps=3,
        sampler_name="DPM++ SDE", subseed=5, subseed_strength=0.3, cfg_scale=5.5,
    )  # fmt: skip
    text = read_infotext(first.infotexts[0])
    overrides = {k: v for k, v in text.overrides.items() if k != "sd_model_checkpoint"}
    second = make(own, overrides, **text.params)
    assert second.images[0].tobytes() == first.images[0].tobytes()
    assert second.infotexts == first.infotexts


def test_files_are_saved_by_date_with_their_infotext(own: Services, tmp_path: Path) -> None:
    result = make(own, save=True, batch_size=2)
    grid, first, second = result.paths
    assert result.index_of_first_image == 1
    assert grid and "txt2img-grids" in str(grid)
    assert first and re.fullmatch(
        r"outputs/txt2img-images/\d{4}-\d\d-\d\d/00000-7\.png", str(first.relative_to(tmp_path))
    )
    assert second and second.name == "00001-8.png"
    with Image.open(first) as image:
        assert read(image).infotext == result.infotexts[1]
        assert image.tobytes() == result.images[1].tobytes()
    leftovers = [p for p in (tmp_path / "outputs").rglob("*") if p.is_file()]
    assert sorted(leftovers) == sorted(p for p in result.paths if p)


@pytest.mark.parametrize("format", ["png", "jpg", "webp"])
def test_every_format_carries_the_infotext(own: Services, format: str) -> None:
    result = make(own, {"samples_format": format}, save=True, prompt="snow ❄ and 雪")
    assert result.paths[0] and result.paths[0].suffix == f".{format}"
    with Image.open(result.paths[0]) as image:
        assert read(image).infotext == result.infotexts[0]


def test_odd_size_is_cut_to_whole_cells(own: Services) -> None:
    result = make(own, width=100, height=70)
    assert result.images[0].size == (96, 64)


def test_hires_fix_enlarges_and_crops(own: Services) -> None:
    assert make(own, enable_hr=True, hr_scale=1.5).images[0].size == (96, 96)
    fitted = make(own, enable_hr=True, hr_resize_x=128, hr_resize_y=96, hr_upscaler="Lanczos")
    assert fitted.images[0].size == (128, 96)


def test_hooks_see_the_job_in_order_and_may_change_it(own: Services) -> None:
    seen: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *args: seen.append(name)

    def change(p: Any) -> None:
        p.prompt, p.steps = "another prompt", 3

    own.hooks.add("before_process", change, "mine")
    order = ["before_process", "process", "before_process_batch", "process_batch",
             "process_before_every_sampling", "cfg_denoiser", "cfg_denoised", "cfg_after_cfg",
             "post_sample", "postprocess_batch", "postprocess_image", "before_image_saved",
             "image_saved", "postprocess"]  # fmt: skip
    for name in order:
        own.hooks.add(name, note(name), "mine")
    result = make(own, save=True)
    assert list(dict.fromkeys(seen)) == order
    assert seen.count("cfg_denoiser") == 3
    assert result.infotexts[0].startswith("another prompt\nSteps: 3,")


def test_bad_write_of_a_hook_names_the_field(own: Services) -> None:
    def spoil(p: Any) -> None:
        p.width = -5

    own.hooks.add("process", lambda p: None, "innocent")
    own.hooks.add("process", spoil, "mine")
    own.hooks.add("before_process_batch", lambda *args: None, "late")
    with pytest.raises(BadInput, match=r"width: -5.*changed by mine\)"):
        make(own)


def _use_unknown_sampler(p: Any) -> None:
    p.sampler_name = "Eular"


def _shorten_in_place(p: Any) -> None:
    del p.all_prompts[:]


def _write_array(p: Any) -> None:
    p.steps = np.arange(3)


def _want(**values: Any) -> Callable[[Any], None]:
    """What writes these values into `p`."""

    def write(p: Any, *_: Any) -> None:
        for name, value in values.items():
            setattr(p, name, value)

    return write


HIRES = {"enable_hr": True, "hr_upscaler": "Lanczos"}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_use_unknown_sampler, r"sampler_name: 'Eular'.*did you mean 'Euler.*changed by mine\)"),
        (_want(scheduler="Karas"), r"scheduler: 'Karas'.*'Karras'.*changed by mine\)"),
        (_want(hr_sampler_name="Eular", **HIRES), r"hr_sampler_name: 'Eular'.*by mine\)"),
        (_want(hr_scheduler="Karas", **HIRES), r"hr_scheduler: 'Karas'.*by mine\)"),
        (_want(hr_checkpoint_name="no", **HIRES), r"hr_checkpoint_name: 'no'.*by mine\)"),
        (
            _want(refiner_checkpoint="no", refiner_switch_at=0.5),
            r"refiner_checkpoint: 'no'.*Unknown checkpoint.*by mine\)",
        ),
        (_want(all_seeds=["x"]), r"all_seeds: 'x'.*whole numbers.*by mine\)"),
        (_want(all_seeds=None), r"all_seeds: None.*by mine\)"),
        (_want(all_subseeds=[1.5]), r"all_subseeds: 1.5.*by mine\)"),
        (_want(all_prompts=[5]), r"all_prompts: 5.*texts.*by mine\)"),
        (_want(all_negative_prompts=[None]), r"all_negative_prompts: None.*by mine\)"),
        (_want(extra_generation_params=[]), r"extra_generation_params: \[\].*by mine\)"),
        (_shorten_in_place, r"all_prompts: 0 .*changed by mine\)"),
        (_write_array, r"steps: array.*changed by mine\)"),
    ],
)
def test_bad_write_of_any_kind_names_the_extension(own: Services, spoil: Any, words: str) -> None:
    own.hooks.add("process", spoil, "mine")
    own.hooks.add("process", lambda p: None, "innocent")
    with pytest.raises(BadInput, match=words):
        make(own)


@pytest.mark.parametrize("hook", ["before_process_batch", "process_batch"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_want(seeds=["x"]), r"seeds: 'x'.*by mine\)"),
        (_want(negative_prompts=[7]), r"negative_prompts: 7.*by mine\)"),
    ],
)
def test_bad_write_into_a_batch_names_the_extension(
    own: Services, hook: str, spoil: Any, words: str
) -> None:
    own.hooks.add(hook, spoil, "mine")
    with pytest.raises(BadInput, match=words):
        make(own)


def test_numbers_of_numpy_are_seeds(own: Services) -> None:
    own.hooks.add("process", _want(all_seeds=[np.int64(9)]), "mine")
    assert make(own).images[0].tobytes() == make(own, seed=9).images[0].tobytes()


def test_what_easel_itself_writes_is_blamed_on_nobody(own: Services) -> None:
    seen: list[Any] = []
    own.hooks.add("before_process_batch", lambda p, *args: seen.append(p), "innocent")
    make(own, n_iter=2)
    assert seen[0].blame("prompts") == "an extension"


def test_hook_may_change_the_tensors_of_each_step(own: Services) -> None:
    plain = make(own)

    def blank(params: Any) -> None:
        params.x = params.x * 0

    own.hooks.add("cfg_after_cfg", blank, "mine")
    changed = make(own)
    assert changed.images[0].tobytes() != plain.images[0].tobytes()
    assert np.abs(pixels(changed) - pixels(make(own, seed=8))).max() <= 1, "seed has no effect left"


def test_failing_hook_is_a_warning_on_the_result(own: Services) -> None:
    def fail(p: Any, picture: Any) -> None:
        raise RuntimeError("broken extension")

    own.hooks.add("postprocess_image", fail, "mine")
    assert make(own).warnings == ("mine: postprocess_image failed: RuntimeError: broken extension",)


class StopAt(SilentReport):
    """Asks to stop in a way, once so many steps were reported."""

    def __init__(self, steps: int, stop: Stop) -> None:
        self._left, self._wish = steps, stop
        self.previews = 0

    @property
    def stop(self) -> Stop:  # type: ignore[override]
        return self._wish if self._left <= 0 else Stop.NO

    def step(self, step: int, preview: Callable[[], Image.Image] | None = None) -> None:
        self._left -= 1
        if preview:
            assert preview().size == (64, 64)
            self.previews += 1

    def end_batch(self) -> None:
        if self._wish is Stop.SKIP:
            self._left = 10**6


@pytest.mark.parametrize(
    ("stop", "pictures", "interrupted"),
    [(Stop.NOW, 1, True), (Stop.AFTER_CURRENT, 1, True), (Stop.SKIP, 3, False)],
)
def test_stopped_job_keeps_what_it_reached(
    own: Services, stop: Stop, pictures: int, interrupted: bool
) -> None:
    report = StopAt(2, stop)
    result = run_request(ask(own, n_iter=3, steps=4), own, report)
    assert len(result.images) == pictures
    assert result.interrupted is interrupted
    assert report.previews


def test_interrupted_picture_is_not_saved_unless_asked(own: Services) -> None:
    request = ask(own, steps=4, save=True)
    assert run_request(request, own, StopAt(1, Stop.NOW)).paths == (None,)
    wanted = ask(own, {"save_incomplete_images": True}, steps=4, save=True)
    assert run_request(wanted, own, StopAt(1, Stop.NOW)).paths[0]


def test_job_stopped_before_any_step_is_interrupted(own: Services) -> None:
    with pytest.raises(Interrupted):
        run_request(ask(own), own, StopAt(0, Stop.NOW))


def test_unknown_network_is_left_out_with_a_warning(own: Services) -> None:
    tagged, plain = make(own, prompt="a fox<lora:x:0.5>"), make(own, prompt="a fox")
    assert tagged.images[0].tobytes() == plain.images[0].tobytes()
    assert len(tagged.warnings) == 1
    assert tagged.warnings[0].startswith("<lora:x> was left out: Unknown lora 'x'")


def test_overrides_do_not_outlive_their_job(own: Services) -> None:
    before = make(own)
    make(own, {"CLIP_stop_at_last_layers": 4, "sd_vae": "othervae.safetensors"})
    assert make(own).images[0].tobytes() == before.images[0].tobytes()


def test_prompt_that_was_encoded_before_is_not_encoded_again(own: Services) -> None:
    make(own, prompt="something new 1")
    with _model(own) as m:
        calls: list[Any] = []
        encode = m.encode_prompts
        m.encode_prompts = lambda *args: calls.append(args) or encode(*args)
        try:
            make(own, prompt="something new 1", seed=9)
            assert calls == []
            make(own, prompt="something new 2")
            assert len(calls) == 1
        finally:
            del m.encode_prompts


def _model(services: Services) -> Any:
    from modules.model_manager import ModelChoice

    return services.models.use(ModelChoice())


def test_hires_prompt_passes_all_prompt_stages(own: Services) -> None:
    values = {"enable_hr": True, "hr_scale": 1.5, "prompt": "a fox"}
    plain = make(own, hr_prompt="a wolf", **values)
    same = make(own, hr_prompt="a wolf<lora:x:1># a comment", **values)
    assert same.images[0].tobytes() == plain.images[0].tobytes()
    assert any("<lora" in warning for warning in same.warnings)


def test_seeds_count_on_from_0_behind_the_last(own: Services) -> None:
    result = make(own, {"eta_noise_seed_delta": 5}, seed=2**64 - 1, batch_size=2,
                  sampler_name="Euler a")  # fmt: skip
    assert result.info["all_seeds"] == [2**64 - 1, 0]


def test_picture_that_cannot_be_saved_is_shown_with_a_warning(own: Services) -> None:
    (own.paths.data / "file").write_text("no folder")
    result = make(own, {"outdir_txt2img_samples": "file/below"}, save=True)
    assert result.paths == (None,)
    assert len(result.images) == 1
    assert "was not saved" in result.warnings[0]


def test_neutral_names_are_no_unsupported_parameters(own: Services) -> None:
    assert make(own, refiner_checkpoint="None", restore_faces=False).warnings == ()
    told = make(own, restore_faces=True).warnings
    assert told == ("Restore faces was left out: it is not supported yet.",)


def test_last_parameters_are_remembered_in_a_file(own: Services) -> None:
    result = make(own)
    assert (own.paths.data / "params.txt").read_text() == result.infotexts[0] + ""


def test_grid_larger_than_allowed_is_left_out(own: Services) -> None:
    request = ask(own, {"img_max_size_mp": 1}, batch_size=2, width=1024, height=512, steps=1,
                  save=True)  # fmt: skip
    result = run_request(request, own, SilentReport())
    assert result.index_of_first_image == 0
    assert result.warnings == ("No grid: it would be larger than 1 MP.",)


def saved(data: Path, pattern: str) -> list[Path]:
    return sorted(data.joinpath("outputs").rglob(pattern))


def opened(path: Path) -> tuple[tuple[int, int], str]:
    """Size and infotext of a picture's file."""
    with Image.open(path) as image:
        return image.size, read(image).infotext


def test_name_that_is_taken_is_replaced_or_numbered(own: Services, tmp_path: Path) -> None:
    plain = {"save_images_add_number": False, "samples_filename_pattern": "fox"}
    make(own, plain, save=True)
    make(own, plain, save=True, seed=8)
    assert [path.name for path in saved(tmp_path, "*.png")] == ["fox.png"]
    assert "Seed: 8," in opened(saved(tmp_path, "*.png")[0])[1]
    make(own, plain | {"save_images_replace_action": "Add number suffix"}, save=True)
    assert [path.name for path in saved(tmp_path, "*.png")] == ["fox-1.png", "fox.png"]


def test_grids_are_named_by_seed_and_prompt_where_asked(own: Services, tmp_path: Path) -> None:
    for changes in ({}, {"grid_extended_filename": True}):
        make(own, changes, save=True, batch_size=2, prompt="a fox")
    names = [path.name for path in saved(tmp_path, "grid*.png")]
    assert names == ["grid-0000.png", "grid-0001-7-a fox.png"]


@pytest.mark.parametrize(
    ("changes", "size"),
    [({"target_side_length": 32}, (32, 24)), ({"img_downscale_threshold": 0.0}, (64, 48)),
     ({}, None), ({"export_for_4chan": False, "target_side_length": 32}, None),
     ({"samples_format": "jpg", "target_side_length": 32}, (64, 48))],
)  # fmt: skip
def test_large_picture_gets_a_jpeg_beside_it(
    own: Services, tmp_path: Path, changes: dict[str, Any], size: tuple[int, int] | None
) -> None:
    result = make(own, changes, save=True, height=48)
    copies = saved(tmp_path, "*.jpg")
    assert [opened(path)[0] for path in copies] == ([size] if size else [])
    assert result.paths[0] is not None
    for path in copies:
        assert path.stem == result.paths[0].stem
        assert opened(path)[1] == result.infotexts[0]
