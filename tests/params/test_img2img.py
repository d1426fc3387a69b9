"""Img2img's parameters through each of their faces, and soft inpainting's arguments."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from modules.core.errors import BadInput, NotFound
from modules.params import (
    Img2ImgBody,
    Img2ImgParams,
    Parameter,
    Request,
    Txt2ImgParams,
    parameters,
    params_class,
)
from modules.params.face import Radio
from modules.params.request import only_parameters
from modules.params.soft_inpaint import TITLE, SoftInpaint, read_soft_inpaint

VALUES: dict[str, Any] = {
    "resize_mode": 2,
    "denoising_strength": 0.35,
    "image_cfg_scale": 1.25,
    "mask_blur_x": 7,
    "mask_blur_y": 9,
    "mask_blur": 5,
    "mask_round": False,
    "inpainting_fill": 3,
    "inpaint_full_res": False,
    "inpaint_full_res_padding": 48,
    "inpainting_mask_invert": 1,
    "initial_noise_multiplier": 0.8,
}
OWN = [row for row in parameters(Img2ImgParams) if row.name in VALUES]
GOLDEN = Path(__file__).parents[1] / "data/golden/rest_img2img.json"


def test_every_own_parameter_is_tested() -> None:
    shared = {row.name for row in parameters(Txt2ImgParams)} - {"denoising_strength"}
    assert {row.name for row in parameters(Img2ImgParams)} - shared == VALUES.keys()


@pytest.mark.parametrize("row", OWN, ids=lambda row: row.name)
def test_parameter_survives_json_and_pickle(row: Parameter) -> None:
    params = Img2ImgParams.model_validate({row.name: VALUES[row.name], "init_images": ["abc"]})
    request = Request(params=params)
    assert request.kind == "img2img"
    assert getattr(request.params, row.name) == VALUES[row.name]
    assert Request.model_validate(json.loads(request.model_dump_json())) == request
    assert pickle.loads(pickle.dumps(request)) == request


@pytest.mark.parametrize("row", OWN, ids=lambda row: row.name)
def test_parameter_has_words_for_people(row: Parameter) -> None:
    assert row.face.label
    if row.face.widget is not None:
        assert row.face.tooltip.endswith("."), "one sentence"
    if isinstance(row.face.widget, Radio):
        assert int(row.ui_default) in range(len(row.face.widget.labels))


@pytest.mark.parametrize(
    ("field", "value"),
    [("resize_mode", 4), ("inpainting_fill", -1), ("inpainting_mask_invert", 2),
     ("mask_blur", -1), ("inpaint_full_res_padding", -1), ("init_images", [None]),
     ("image_cfg_scale", -1), ("denoising_strength", 1.1)],
)  # fmt: skip
def test_impossible_value_is_refused_naming_the_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Img2ImgParams.model_validate({field: value})
    assert caught.value.errors()[0]["loc"][0] == field


def test_one_blur_goes_before_two() -> None:
    assert Img2ImgParams(mask_blur_x=1, mask_blur_y=2).blur == (1, 2)
    assert Img2ImgParams(mask_blur_x=1, mask_blur_y=2, mask_blur=3).blur == (3, 3)


def test_invert_may_come_as_truth_value() -> None:
    assert (
        Img2ImgParams.model_validate({"inpainting_mask_invert": True}).inpainting_mask_invert == 1
    )


def test_rest_fields_and_defaults_are_those_of_a1111() -> None:
    wanted = json.loads(GOLDEN.read_text(encoding="utf-8"))
    got = json.loads(Img2ImgBody().model_dump_json())
    differing = {
        name: (got.get(name, "absent"), row["default"])
        for name, row in wanted.items()
        if got.get(name, "absent") != row["default"] and not (name == "styles" and not got[name])
    }
    assert differing == {}
    assert wanted.keys() == got.keys()


def test_body_splits_into_parameters_and_the_rest() -> None:
    assert only_parameters(Img2ImgBody()).keys() == Img2ImgParams.model_fields.keys()


def test_kind_names_the_class() -> None:
    assert params_class("img2img") is Img2ImgParams
    with pytest.raises(NotFound):
        params_class("img3img")


def test_request_of_one_kind_takes_no_parameters_of_another() -> None:
    plain = {"kind": "img2img", "params": {"steps": 3, "init_images": ["abc"]}}
    assert isinstance(Request.model_validate(plain).params, Img2ImgParams)
    with pytest.raises(ValidationError):
        Request.model_validate({"kind": "img3img", "params": {}})


def test_soft_inpainting_is_off_unless_enabled() -> None:
    assert read_soft_inpaint({}) is None
    assert read_soft_inpaint({TITLE: {"args": [False, 2]}}) is None
    assert read_soft_inpaint({TITLE: {}}) is None
    assert read_soft_inpaint({"SOFT inpainting": {"args": [True]}}) == SoftInpaint(enabled=True)


def test_soft_inpainting_keeps_its_arguments() -> None:
    given = [True, 1, 0.5, 4, 0, 0.5, 2]
    soft = read_soft_inpaint({TITLE: {"args": given}})
    assert soft is not None
    assert soft.arguments() == given
    assert [type(value) for value in soft.arguments()] == [type(value) for value in given]
    assert next(iter(soft.pairs())) == "Soft inpainting enabled"


@pytest.mark.parametrize("given", [[True, -1], [True, "x"], [True] * 8, "text", None, 3])
def test_bad_arguments_of_soft_inpainting_are_named(given: object) -> None:
    with pytest.raises(BadInput, match=f"alwayson_scripts.{TITLE}"):
        read_soft_inpaint({TITLE: {"args": given}})
