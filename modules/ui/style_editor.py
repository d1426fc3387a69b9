"""The styles of a tab: menu, apply, and the dialog that saves, changes and deletes them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from modules.core.app import App
from modules.params.styles import Style
from modules.ui.events import BROWSER, QUIET, TELLING, tell
from modules.ui.form import Form


class StyleEditor:
    """Buttons beside the styles menu and the dialog; the menu itself is a field of the form."""

    def __init__(self, app: App, form: Form) -> None:
        self._app = app
        self._form = form
        self._tab = form.tab

    def build_menu(self) -> None:
        """The styles menu with its buttons, in the current layout block."""
        tab = self._tab
        with gr.Row(elem_id=f"{tab}_styles_row", elem_classes=["easel-styles"]):
            self.menu = self._form.field("styles")
            self.apply = _tool("Apply styles", f"{tab}_style_apply", "apply")
            self.edit = _tool("Edit styles", f"{tab}_styles_edit_button", "edit")

    def build_dialog(self) -> None:
        """The dialog, hidden until the brush is pressed, and all events of the styles."""
        tab = self._tab
        with gr.Column(elem_id=f"{tab}_styles_dialog", elem_classes=["easel-dialog"]):
            gr.HTML("<h2>Styles</h2>", padding=False)
            with gr.Row(elem_classes=["easel-styles"]):
                self.name = gr.Dropdown(
                    self._names(),
                    label="Style: choose one, or type a new name",
                    value=None,
                    allow_custom_value=True,
                    elem_id=f"{tab}_styles_edit_select",
                )
                refresh = _tool("Refresh", f"refresh_{tab}_styles", "refresh")
                copy = _tool("Copy prompts", f"{tab}_style_copy", "copy")
            self.prompt = gr.Textbox(
                label="Prompt", lines=3, elem_id=f"{tab}_edit_style_prompt",
                placeholder="{prompt} stands for the prompt; without it, this is put behind it",
            )  # fmt: skip
            self.negative = gr.Textbox(
                label="Negative prompt", lines=2, elem_id=f"{tab}_edit_style_neg_prompt"
            )
            with gr.Row(elem_classes=["easel-tools"]):
                save = gr.Button("Save", variant="primary", elem_id=f"{tab}_edit_style_save")
                delete = gr.Button("Delete", elem_id=f"{tab}_edit_style_delete")
                close = gr.Button("Close", elem_id=f"{tab}_edit_style_close")
        self._wire_menu(close)
        self._wire_dialog(refresh, copy, save, delete)

    def _wire_menu(self, close: gr.Button) -> None:
        prompts = [self._form.fields["prompt"], self._form.fields["negative_prompt"]]
        toggle = f"() => easel.dialog.toggle('{self._tab}_styles_dialog')"
        self.apply.click(
            self.apply_styles,
            inputs=[*prompts, self.menu],
            outputs=[*prompts, self.menu],
            preprocess=False,
            **QUIET,
        )
        self.edit.click(js=toggle, **BROWSER)
        close.click(js=toggle, **BROWSER)

    def _wire_dialog(
        self, refresh: gr.Button, copy: gr.Button, save: gr.Button, delete: gr.Button
    ) -> None:
        texts = [self.prompt, self.negative]
        prompts = [self._form.fields["prompt"], self._form.fields["negative_prompt"]]
        menus = [self.menu, self.name]
        self.name.input(self.texts, inputs=[self.name], outputs=texts, preprocess=False, **QUIET)
        copy.click(inputs=prompts, outputs=texts, js="(a, b) => [a, b]", **BROWSER)
        refresh.click(self.reload, outputs=menus, **QUIET)
        save.click(
            self.save, inputs=[self.name, *texts], outputs=menus, preprocess=False, **TELLING
        )
        delete.click(self.delete, inputs=[self.name], outputs=menus, preprocess=False, **TELLING)

    def apply_styles(
        self, prompt: str, negative: str, names: list[str] | None
    ) -> tuple[str, str, list[str]]:
        """Write the chosen styles into the prompts and empty the menu."""
        applied = self._app.styles.apply(prompt or "", negative or "", names or ())
        return (*applied, [])

    def texts(self, name: str | None) -> tuple[Any, Any]:
        """The texts of a style; those of an unknown name stay as they are."""
        style = self._app.styles.styles.get(name or "")
        return (style.prompt, style.negative_prompt) if style else (gr.skip(), gr.skip())

    def save(self, name: str | None, prompt: str, negative: str) -> tuple[Any, Any]:
        """Add or replace the style."""

        def action() -> str:
            style = self._app.styles.save(Style((name or "").strip(), prompt or "", negative or ""))
            return f"Style “{style.name}” is saved."

        tell(action)
        return self.menus()

    def delete(self, name: str | None) -> tuple[Any, Any]:
        """Remove the style."""

        def action() -> str:
            self._app.styles.delete(name or "")
            return f"Style “{name}” is deleted."

        tell(action)
        return self.menus()

    def reload(self) -> tuple[Any, Any]:
        """Read the styles' files again."""
        self._app.styles.reload()
        return self.menus()

    def menus(self) -> tuple[Any, Any]:
        """The menus with the styles that are there now."""
        names = self._names()
        return gr.update(choices=names), gr.update(choices=names)

    def _names(self) -> list[str]:
        return self._app.styles.choices()


def _tool(text: str, element: str, icon: str) -> gr.Button:
    return gr.Button(text, elem_id=element, elem_classes=["tool", f"icon-{icon}"])
