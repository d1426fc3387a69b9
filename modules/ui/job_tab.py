"""A tab with prompts, a form, a Generate button and the pictures that come of it.

What the tabs share: the frame, the prompts, the buttons and their events. Which fields a tab has,
and where they stand, its own class says.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import gradio as gr
from gradio.components import Component

from modules.core.app import App
from modules.params import GenerationParams
from modules.ui.cards import Cards
from modules.ui.choices import menu_names
from modules.ui.events import BROWSER, QUIET, TELLING
from modules.ui.form import Form
from modules.ui.generate import Submission
from modules.ui.generate_row import GenerateRow
from modules.ui.layout import Layout
from modules.ui.paste import Paste
from modules.ui.results import Results
from modules.ui.rows import REFINER, VARIATION
from modules.ui.scripts import ScriptPanel
from modules.ui.style_editor import StyleEditor

PROMPTS = (("prompt", "token_counter"), ("negative_prompt", "negative_token_counter"))


class JobTab(ABC):
    """The components and events of one tab; one per page."""

    def __init__(
        self, app: App, tab: str, model: type[GenerationParams], folder_setting: str
    ) -> None:
        """`model`: the form's fields; `folder_setting`: where the tab's pictures are saved."""
        self.app = app
        self.tab = tab
        self.form = Form(model, tab, app)
        self.layout = Layout(self.form)
        self.styles = StyleEditor(app, self.form)
        self.results = Results(app, tab, folder_setting)
        self._row = GenerateRow(tab)
        self.scripts = ScriptPanel(app.scripts, tab, functools.partial(menu_names, app=app))
        self.tools: list[Callable[[], None]] = []
        """Make the tab's own buttons beside Clear."""
        self.overrides: gr.Dropdown
        self.paste: Paste

    def build(self, page_state: gr.Textbox) -> None:
        """Make the tab in gradio's current layout block.

        page_state: JSON that the scripts follow; the native size of the model is in it.
        """
        tab = self.tab
        with gr.Row(elem_id=f"{tab}_layout", elem_classes=["easel-layout"]):
            with gr.Column(elem_classes=["easel-left"]):
                with gr.Column(elem_id=f"{tab}_prompt_container", elem_classes=["easel-prompts"]):
                    self._build_prompts()
                with gr.Column(elem_id=f"{tab}_settings", elem_classes=["easel-controls"]):
                    Cards(tab).build(self.build_controls)
            with gr.Column(elem_classes=["easel-right"]):
                with gr.Column(elem_id=f"{tab}_actions_column", elem_classes=["easel-actions"]):
                    self._build_actions()
                with gr.Column(elem_id=f"{tab}_results", elem_classes=["easel-results"]):
                    self.results.build()
        self.styles.build_dialog()
        self.layout.wire()
        self._wire(page_state)

    def recall(self, page: gr.Blocks, page_state: gr.Textbox) -> None:
        """Bring back what was typed, when the page loads."""
        kept = [*self.form.fields.values(), self.overrides]
        page.load(
            inputs=[page_state, *kept],
            outputs=kept,
            js=f"(...values) => easel.form.recall('{self.tab}', values)",
            **BROWSER,
        )
        self.scripts.wire()

    @abstractmethod
    def build_controls(self) -> None:
        """Make the tab's own fields in gradio's current layout block."""

    @abstractmethod
    def wire_generate(self, reply: gr.Textbox) -> Submission:
        """Connect the Generate button; the job's id or an error goes into `reply`."""

    def build_variation(self) -> None:
        """The fold with the variation's fields."""
        with gr.Accordion(
            "Variation", open=False, elem_id=f"{self.tab}_seed_extras", elem_classes=["easel-fold"]
        ):
            self.layout.rows(VARIATION)

    def build_refiner(self) -> None:
        """The fold with the refiner's fields, and what else is rarely wanted."""
        with gr.Accordion(
            "Refiner and tiling",
            open=False,
            elem_id=f"{self.tab}_refiner",
            elem_classes=["easel-fold"],
        ):
            self.layout.rows((REFINER, ("tiling",)))

    def queue_on(
        self,
        button: gr.Button,
        submission: Submission,
        reply: gr.Textbox,
        more: Sequence[Component] = (),
    ) -> None:
        """Let a button queue a job from the form and the components in `more`."""
        button.click(
            submission.submit,
            inputs={
                *self.form.fields.values(),
                self.overrides,
                *self.scripts.components,
                *more,
            },
            outputs=[reply],
            preprocess=False,
            trigger_mode="multiple",
            **QUIET,
        ).then(
            inputs=[reply], js=f"(reply) => easel.jobs.submitted('{self.tab}', reply)", **BROWSER
        )

    def _build_prompts(self) -> None:
        for name, counter in PROMPTS:
            with gr.Column(elem_classes=["easel-prompt"]):
                self.form.field(name)
                gr.HTML("", elem_id=f"{self.tab}_{counter}", elem_classes=["easel-counter"])

    def _build_actions(self) -> None:
        tab = self.tab
        self._row.build()
        paste = "paste" if tab == "txt2img" else f"{tab}_paste"
        with gr.Row(elem_id=f"{tab}_tools", elem_classes=["easel-tools"]):
            self._paste = gr.Button("Read parameters", elem_id=paste, size="sm")
            self._clear = gr.Button("Clear", elem_id=f"{tab}_clear_prompt", size="sm")
            for build in self.tools:
                build()
            self.styles.build_menu()
        self.overrides = gr.Dropdown(
            [],
            value=[],
            label="Override settings",
            multiselect=True,
            allow_custom_value=True,
            elem_id=f"{tab}_override_settings",
            elem_classes=["easel-chips"],
        )

    def _wire(self, page_state: gr.Textbox) -> None:
        tab, fields = self.tab, list(self.form.fields.values())
        prompts = [self.form.fields[name] for name, _ in PROMPTS]
        self.paste = Paste(self.app, self.form, self.overrides, self.scripts)
        self._wire_paste(prompts[0])
        self._clear.click(
            inputs=prompts, outputs=prompts, js="(a, b) => easel.form.clear(a, b)", **BROWSER
        )
        gr.on(
            [*(field.change for field in fields), self.overrides.change],
            inputs=[*fields, self.overrides],
            js=f"(...values) => easel.form.remember('{tab}', values)",
            **BROWSER,
        )
        reset = gr.Button("Reset", visible="hidden", elem_id=f"{tab}_reset_field")
        reset.click(
            inputs=fields,
            outputs=fields,
            js=f"(...values) => easel.form.reset('{tab}', values)",
            **BROWSER,
        )
        size = [self.form.fields["width"], self.form.fields["height"]]
        page_state.change(
            inputs=[page_state, *size],
            outputs=size,
            js=f"(state, w, h) => easel.form.follow('{tab}', state, w, h)",
            **BROWSER,
        )
        reply = gr.Textbox(visible="hidden", elem_id=f"{tab}_reply")
        self._row.wire_stopping(self.wire_generate(reply), reply)

    def _wire_paste(self, prompt: Component) -> None:
        """Parameters from the prompt, and from a picture that is dropped on the page."""
        outputs = self.paste.outputs
        pressed = self._paste.click(
            self.paste.read, inputs=[prompt], outputs=outputs, preprocess=False, **TELLING
        )
        self.scripts.wire_paste(pressed)
        found = gr.Textbox(visible="hidden", elem_id=f"{self.tab}_found_parameters")
        read = gr.Button("Read", visible="hidden", elem_id=f"{self.tab}_read_picture")
        dropped = read.click(
            self.paste.read_picture,
            inputs=[found],
            outputs=outputs,
            js="() => [easel.drop.pending()]",
            preprocess=False,
            **TELLING,
        )
        self.scripts.wire_paste(dropped)
