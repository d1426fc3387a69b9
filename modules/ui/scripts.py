"""The scripts of a tab: a menu, and the fields of the chosen one."""

from __future__ import annotations

import html
import json
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from modules.core.errors import BadInput
from modules.extensions.host import ScriptHost
from modules.extensions.script import Script
from modules.params.request import Kind
from modules.ui.events import BROWSER, QUIET
from modules.ui.script_arguments import as_argument, changed_by_events, choices_of
from modules.ui.script_paste import NotedPairs, field_value

log = logging.getLogger(__name__)

NONE: Final = "None"
NAME: Final = "Script"
"""What infotexts call the script that made a picture."""
SCRIPT_TABS: Final[Mapping[str, Kind]] = {"txt2img": "txt2img", "img2img": "img2img"}
KEPT: Final = (
    gr.Slider, gr.Number, gr.Textbox, gr.Checkbox, gr.Radio, gr.CheckboxGroup, gr.Dropdown,
    gr.ColorPicker,
)  # fmt: skip
"""Fields whose values a browser keeps over a reload."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A field whose value outlives the page, and that infotexts may fill."""

    key: str
    script: str
    """The title; "" for the menu."""
    component: Component


class ScriptPanel:
    """The components of one tab."""

    def __init__(
        self,
        host: ScriptHost,
        tab: str,
        menu_names: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        """`tab`: txt2img or img2img; the scripts are this page's own instances.

        `menu_names`: the names in a table of choices as they are now, for the scripts' menus.
        Any other tab has no scripts, and no panel: its element ids would be there twice.
        """
        self._host = host
        self._tab = tab
        scripts = host.make(tab) if tab in SCRIPT_TABS else ()
        for script in scripts:
            script.menu_names = menu_names
        self._scripts = {script.title(): script for script in scripts}
        self._fields: dict[str, list[Component]] = {}
        self._groups: dict[str, gr.Column] = {}
        self._menu: gr.Dropdown | None = None
        self.pasted: gr.Textbox | None = None
        """Where `paste` leaves word for the page's scripts; None without scripts."""

    @property
    def components(self) -> list[Component]:
        """Everything that a job needs the values of."""
        menu = [self._menu] if self._menu else []
        return [*menu, *(field for fields in self._fields.values() for field in fields)]

    def build(self) -> None:
        """Make the menu and the fields in gradio's current layout block, if there are scripts."""
        if not self._scripts:
            return
        menu = self._menu = gr.Dropdown(
            [NONE, *self._scripts],
            value=NONE,
            label="Script",
            elem_id="script_list",
            elem_classes=["easel-field"],
        )
        for title, script in self._scripts.items():
            element = f"{self._tab}_script_{len(self._groups)}"
            with gr.Column(
                visible=False, elem_id=element, elem_classes=["easel-script"]
            ) as self._groups[title]:
                self._fields[title] = _build(script)
        self.pasted = gr.Textbox(visible="hidden", elem_id=f"{self._tab}_pasted_script")
        self._fill = gr.Button("Fill", visible="hidden", elem_id=f"{self._tab}_fill_scripts")
        menu.change(self._show, inputs=[menu], outputs=list(self._groups.values()), **QUIET)

    def read(self, values: Mapping[Component, Any]) -> dict[str, Any]:
        """The chosen script and its arguments as fields of a Request. Raises BadInput."""
        title = self._chosen(values)
        if title is None:
            return {}
        name = self._scripts[title].name
        arguments = tuple(as_argument(field, values[field]) for field in self._fields[title])
        self._host.check(SCRIPT_TABS[self._tab], name, arguments)
        return {"script_name": name, "script_args": arguments}

    def element(self, values: Mapping[Component, Any], error: BadInput) -> str:
        """The element id of the chosen script's field that an error is about, or ""."""
        label = error.field.partition(" (")[0]
        for component in self._fields.get(self._chosen(values) or "", ()):
            if getattr(component, "label", None) in (error.field, label):
                return component.elem_id or ""
        return ""

    def paste(self, pairs: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
        """(what `pasted` gets, the infotext's names that found their place).

        The former is JSON of the script that the infotext names and of its fields' values, as its
        `infotext_fields` say; empty where the infotext names none, or one that does not say.
        """
        wanted = str(pairs.get(NAME, "")).strip().lower()
        for title, script in self._scripts.items():
            if self._fields and title.lower() == wanted and script.infotext_fields:
                noted = NotedPairs(pairs)
                values = _read_fields(script, noted)
                kept = {row.key: values[row.component] for row in self._kept()
                        if row.component in values}  # fmt: skip
                word = {"script": title, "values": kept, "call": secrets.token_hex(4)}
                return json.dumps(word), noted.used | {NAME}
        return "", frozenset()

    def describe(self) -> dict[str, Any]:
        """What the page's scripts need to keep and fill the fields, in the order of `_kept`."""
        if self._menu is None:
            return {"fields": [], "groups": {}}
        changing = _changing(self._menu)
        rows = [
            {
                "key": row.key,
                "script": row.script,
                "default": row.component.value,
                "choices": None if row.component in changing else _only_choices(row.component),
            }
            for row in self._kept()
        ]
        return {"fields": rows, "groups": {t: g.elem_id for t, g in self._groups.items()}}

    def wire(self) -> None:
        """Let the page's scripts keep the values of the fields, and fill them."""
        kept = [row.component for row in self._kept()]
        if not kept:
            return
        self._fill.click(
            inputs=kept,
            outputs=kept,
            js=f"(...values) => easel.scripts.fill('{self._tab}', values)",
            **BROWSER,
        )
        gr.on(
            [component.change for component in kept],
            inputs=kept,
            js=f"(...values) => easel.scripts.remember('{self._tab}', values)",
            **BROWSER,
        )

    def wire_paste(self, event: Dependency) -> None:
        """Let the page's scripts fill the fields after an event that wrote `pasted`."""
        if self.pasted:
            event.then(
                inputs=[self.pasted],
                js=f"(text) => easel.scripts.pasted('{self._tab}', text)",
                **BROWSER,
            )

    def _kept(self) -> list[Kept]:
        """The menu, then all fields that hold something plain."""
        menu = [Kept("script", "", self._menu)] if self._menu else []
        return [
            *menu,
            *(
                Kept(f"{title}/{number}/{component.label}", title, component)
                for title, fields in self._fields.items()
                for number, component in enumerate(fields)
                if isinstance(component, KEPT)
            ),
        ]

    def _chosen(self, values: Mapping[Component, Any]) -> str | None:
        title = values[self._menu] if self._menu else None
        return title if title in self._scripts else None

    def _show(self, chosen: str) -> list[Any]:
        return [gr.update(visible=title == chosen) for title in self._groups]


def _only_choices(component: Component) -> list[Any] | None:
    """What a menu can hold; None where it, or a field of another kind, can hold anything."""
    choices = choices_of(component)
    is_open = not choices or getattr(component, "allow_custom_value", False)
    return None if is_open else [value for _, value in choices]


def _changing(menu: Component) -> set[Component]:
    """The page's components that its events change."""
    block = menu.parent
    while block is not None and not isinstance(block, gr.Blocks):
        block = block.parent
    return set() if block is None else changed_by_events(block)


def _build(script: Script) -> list[Component]:
    """The fields of a script; one that cannot be built says so in its place."""
    try:
        return list(script.ui(script.is_img2img) or ())
    except Exception as error:  # whatever an extension's code does
        reason = html.escape(f"{type(error).__name__}: {error}")
        gr.HTML(f'<p class="easel-note">This script cannot be shown: {reason}</p>', padding=False)
        return []


def _read_fields(script: Script, pairs: NotedPairs) -> dict[Component, Any]:
    values: dict[Component, Any] = {}
    for component, source in script.infotext_fields:
        try:
            value = field_value(component, source, pairs)
        except Exception:  # whatever an extension's code does; the other fields are filled
            log.exception("The script %s cannot read an infotext", script.title())
            continue
        if value is not None:
            values[component] = value
    return values
