from __future__ import annotations

import gradio as gr
import pytest

from modules.core.app import App
from modules.params import Txt2ImgParams
from modules.ui.events import in_event_loop
from modules.ui.form import Form
from modules.ui.style_editor import StyleEditor


@pytest.fixture
def editor(app: App) -> StyleEditor:
    return in_event_loop(lambda: build(app))


def build(app: App) -> StyleEditor:
    form = Form(Txt2ImgParams, "txt2img", app)
    made = StyleEditor(app, form)
    with gr.Blocks(analytics_enabled=False):
        form.field("prompt")
        form.field("negative_prompt")
        made.build_menu()
        made.build_dialog()
    return made


def test_apply_writes_styles_into_the_prompts_and_empties_the_menu(editor: StyleEditor) -> None:
    assert editor.apply_styles("a fox", "", ["Oil"]) == ("oil painting of a fox", "photo", [])


def test_saved_style_is_in_both_menus(
    editor: StyleEditor, app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    menus = editor.save(" Ink ", "ink drawing", "")
    assert all(menu["choices"] == ["Oil", "Ink"] for menu in menus)
    assert app.styles.get("Ink").prompt == "ink drawing"
    assert "“Ink” is saved" in capsys.readouterr().out


def test_style_without_name_is_refused(editor: StyleEditor) -> None:
    with pytest.warns(UserWarning, match="a style needs a name"):
        editor.save(None, "x", "")


def test_deleted_style_leaves_the_menus(
    editor: StyleEditor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert editor.delete("Oil")[0]["choices"] == []
    assert "deleted" in capsys.readouterr().out


def test_unknown_style_cannot_be_deleted(editor: StyleEditor) -> None:
    with pytest.warns(UserWarning, match="Unknown style 'Ole'"):
        editor.delete("Ole")


def test_choice_shows_the_texts_and_a_new_name_keeps_them(editor: StyleEditor) -> None:
    assert editor.texts("Oil") == ("oil painting of {prompt}", "photo")
    assert editor.texts("New") == (gr.skip(), gr.skip())


def test_reload_finds_what_another_program_wrote(editor: StyleEditor, app: App) -> None:
    file = app.styles.default_path
    file.write_text("name,prompt,negative_prompt\nA,b,c\n", encoding="utf-8")
    assert editor.reload()[0]["choices"] == ["A"]
