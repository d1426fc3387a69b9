from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from modules.core.app import App
from modules.core.errors import NotFound
from modules.params import Txt2ImgParams, parameters
from modules.params.face import Check, Choice, ManyChoices, Number, Parameter, Slider, Text
from modules.ui.choices import menu_names
from modules.ui.events import in_event_loop
from modules.ui.form import Form

FIELDS = [p for p in parameters(Txt2ImgParams) if p.face.widget is not None]


def another_value(parameter: Parameter, app: App) -> Any:
    """A value that the field can show and that is not its default."""
    match parameter.face.widget:
        case Slider(_, maximum, step):
            return type(parameter.ui_default)(maximum - step)
        case Number():
            return 2**64 - 1
        case Choice(source):
            return menu_names(source, app)[-1]
        case ManyChoices():
            return ("Oil",)
        case Text():
            return 'a, "b": c\nd'
        case Check():
            return True
    raise AssertionError(parameter.face.widget)


@pytest.fixture
def form(app: App) -> Form:
    made = Form(Txt2ImgParams, "txt2img", app)

    def build() -> None:
        with gr.Blocks(analytics_enabled=False):
            for parameter in FIELDS:
                made.field(parameter.name)

    in_event_loop(build)
    return made


def read_back(form: Form, params: dict[str, Any]) -> Txt2ImgParams:
    """What the server gets after the form showed `params`."""
    values: dict[Any, Any] = {component: component.value for component in form.fields.values()}
    values |= {component: change["value"] for component, change in form.write(params).items()}
    return Txt2ImgParams.model_validate(form.read(values))


@pytest.mark.parametrize("parameter", FIELDS, ids=lambda p: p.name)
def test_value_survives_form(parameter: Parameter, form: Form, app: App) -> None:
    value = another_value(parameter, app)
    assert getattr(read_back(form, {parameter.name: value}), parameter.name) == value


def test_untouched_form_gives_ui_defaults(form: Form) -> None:
    params = read_back(form, {})
    for parameter in FIELDS:
        assert getattr(params, parameter.name) == parameter.ui_default, parameter.name


def test_emptied_field_means_its_default(form: Form) -> None:
    params = Txt2ImgParams.model_validate(form.read(dict.fromkeys(form.fields.values())))
    assert (params.seed, params.steps, params.prompt, params.styles) == (-1, 20, "", ())


def test_write_touches_only_given_parameters(form: Form) -> None:
    assert list(form.write({"steps": 3, "nonsense": 1})) == [form.fields["steps"]]


def test_write_shows_default_where_a_value_is_none(form: Form) -> None:
    assert form.write({"sampler_name": None})[form.fields["sampler_name"]]["value"] == "DPM++ 2M"


def test_field_is_placed_only_once(form: Form) -> None:
    with pytest.raises(NotFound, match="form field 'steps'"):
        form.field("steps")


def test_description_names_every_field_with_tooltip(form: Form) -> None:
    described = form.describe()
    assert [field["name"] for field in described] == [parameter.name for parameter in FIELDS]
    assert all(field["id"] and field["tooltip"] for field in described)


def test_unknown_table_of_choices_is_refused(app: App) -> None:
    with pytest.raises(NotFound, match="did you mean 'samplers'"):
        menu_names("sampler", app)
