"""Every parameter goes round through each of its faces and comes back as it was."""

from __future__ import annotations

import json
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from modules.core.settings import Settings, SettingsView
from modules.params import Parameter, Request, Txt2ImgBody, Txt2ImgParams, parameters
from modules.params.infotext import PictureFacts, hires_pairs, write_infotext
from modules.params.infotext_read import read_infotext

VALUES: dict[str, Any] = {
    "prompt": 'a "red" fox, (very: fluffy)\nand a [dog]',
    "negative_prompt": "ugly, bad: hands",
    "styles": ("a style",),
    "seed": 2**63 + 5,
    "subseed": 99,
    "subseed_strength": 0.25,
    "seed_resize_from_w": 192,
    "seed_resize_from_h": 64,
    "sampler_name": "DPM++ 2M SDE Heun",
    "scheduler": "Align Your Steps",
    "batch_size": 3,
    "n_iter": 2,
    "steps": 33,
    "cfg_scale": 4.5,
    "width": 640,
    "height": 384,
    "restore_faces": True,
    "tiling": True,
    "eta": 0.5,
    "denoising_strength": 0.55,
    "s_min_uncond": 1.5,
    "s_churn": 0.1,
    "s_tmax": 9.0,
    "s_tmin": 0.2,
    "s_noise": 0.9,
    "refiner_checkpoint": "other",
    "refiner_switch_at": 0.7,
    "enable_hr": True,
    "hr_scale": 1.5,
    "hr_upscaler": "Latent (bicubic)",
    "hr_second_pass_steps": 7,
    "hr_resize_x": 256,
    "hr_resize_y": 192,
    "hr_checkpoint_name": "third",
    "hr_sampler_name": "Euler a",
    "hr_scheduler": "Karras",
    "hr_prompt": "a blue wolf, big",
    "hr_negative_prompt": "small",
}
ROWS = list(parameters(Txt2ImgParams))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_parameter_survives_json_and_pickle(row: Parameter) -> None:
    request = Request(params=Txt2ImgParams(**{row.name: VALUES[row.name]}))
    assert getattr(request.params, row.name) == VALUES[row.name]
    assert Request.model_validate(json.loads(request.model_dump_json())) == request
    assert pickle.loads(pickle.dumps(request)) == request


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_parameter_is_a_field_of_the_rest_body(row: Parameter) -> None:
    body = Txt2ImgBody.model_validate({row.name: VALUES[row.name], "no_such_field": 1})
    assert getattr(body, row.name) == VALUES[row.name]
    schema = Txt2ImgBody.model_json_schema()["properties"]
    assert row.name in schema


WRITTEN = [row for row in ROWS if row.face.infotext or row.name in ("width", "height", "prompt")]
IN_PASS_TWO = [row.name for row in ROWS if row.name.startswith("hr_")] + ["denoising_strength"]


@pytest.mark.parametrize("row", WRITTEN, ids=lambda row: row.name)
def test_parameter_survives_the_infotext(row: Parameter) -> None:
    values = {"sampler_name": "Euler", "scheduler": "Automatic", row.name: VALUES[row.name]}
    if row.name in IN_PASS_TWO:
        values |= {"enable_hr": True, "hr_upscaler": VALUES["hr_upscaler"]}
        values.setdefault("denoising_strength", 0.7)
        values.setdefault("prompt", "another prompt")
    if row.name == "subseed":
        values["subseed_strength"] = 0.5
    params = Txt2ImgParams(**values)
    text = write(params, Settings(None).view())
    assert read_infotext(text).params[row.name] == VALUES[row.name]


def write(params: Txt2ImgParams, settings: SettingsView) -> str:
    """The infotext of a picture; the refiner's part of it is `processing`'s to add."""
    refiner = {"Refiner": params.refiner_checkpoint, "Refiner switch at": params.refiner_switch_at}
    facts = PictureFacts(
        params.prompt, params.negative_prompt, params.seed, params.subseed,
        uses_ensd=True, extra=hires_pairs(params) | refiner, version="easel-0.1",
    )  # fmt: skip
    return write_infotext(params, facts, settings)


SETTINGS_TOO: dict[str, tuple[Any, ...]] = {
    "CLIP_stop_at_last_layers": (1, 2, 12),
    "randn_source": ("GPU", "CPU", "NV"),
    "eta_noise_seed_delta": (0, 31337, -1),
    "token_merging_ratio": (0.0, 0.5),
    "token_merging_ratio_hr": (0.0, 0.3),
    "tiling": (False, True),
}


@pytest.mark.parametrize("number", range(60))
def test_what_was_written_is_read_and_written_again_the_same(number: int) -> None:
    chance = random.Random(number)
    chosen = [row.name for row in WRITTEN if chance.random() < 0.6]
    values: dict[str, Any] = {name: VALUES[name] for name in chosen}
    values |= {
        "prompt": "".join(chance.choices('ab (:1.2)[]|,"\\é猫<lora:x:1>', k=chance.randrange(30))),
        "seed": chance.choice((0, 2**53 + 1, 2**64 - 1)),
        "subseed_strength": chance.choice((0, 0.25)),
        "sampler_name": "Euler a",
        "scheduler": chance.choice(("Automatic", "Karras")),
        "enable_hr": chance.random() < 0.5,
        "hr_upscaler": "Latent",
        "denoising_strength": 0.5,
    }
    params = Txt2ImgParams(**values)
    view = Settings(None).view()
    settings = {key: chance.choice(values) for key, values in SETTINGS_TOO.items()}
    first = write(params, view.with_overrides(settings))
    read = read_infotext(first)
    again = write(Txt2ImgParams(**read.params), view.with_overrides(read.overrides))
    assert again == first.replace(first.partition("\n")[0], first.partition("\n")[0].strip(), 1)
    assert read.rest == {}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_parameter_has_words_for_people(row: Parameter) -> None:
    assert row.face.label
    if row.face.widget is not None:
        assert row.face.tooltip.endswith("."), "one sentence"


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", 0), ("steps", "many"), ("width", 0), ("height", 10**6), ("seed", -2),
     ("batch_size", 0), ("subseed_strength", 1.5), ("denoising_strength", -0.1),
     ("cfg_scale", float("inf")), ("hr_scale", 0.5), ("n_iter", None)],
)  # fmt: skip
def test_impossible_value_is_refused_naming_the_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Txt2ImgParams(**{field: value})
    assert caught.value.errors()[0]["loc"] == (field,)


def test_parameters_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Txt2ImgParams().steps = 3  # type: ignore[misc]


def test_rest_defaults_are_those_of_a1111() -> None:
    golden = Path(__file__).parents[1] / "data/golden/rest_txt2img.json"
    wanted = json.loads(golden.read_text(encoding="utf-8"))
    body = Txt2ImgBody()
    got = json.loads(body.model_dump_json())
    differing = {
        name: (got.get(name, "absent"), row["default"])
        for name, row in wanted.items()
        if got.get(name, "absent") != row["default"] and not (name == "styles" and not got[name])
    }
    assert differing == {}
