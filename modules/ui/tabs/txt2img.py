"""The txt2img tab: where each field stands, and what the buttons call."""

from __future__ import annotations

from typing import Final

import gradio as gr

from modules.core.app import App
from modules.params import Txt2ImgParams
from modules.ui.events import BROWSER, QUIET, TELLING
from modules.ui.form import Form
from modules.ui.generate import Submission
from modules.ui.layout import Layout, Row, Tool
from modules.ui.paste import Paste
from modules.ui.results import Results
from modules.ui.style_editor import StyleEditor

TAB: Final = "txt2img"
LABEL: Final = "txt2img"

SWAP = Tool(
    "res_switch_btn",
    "Swap",
    "swap",
    "Swap width and height",
    ("width", "height"),
    "(w, h) => [h, w]",
)
RANDOM_SEED = Tool(
    "random_seed", "Random seed", "dice", "A random seed each time (-1)", ("seed",), "() => [-1]"
)
REUSE_SEED = Tool(
    "reuse_seed",
    "Reuse seed",
    "reuse",
    "Take the seed of the selected picture",
    ("seed",),
    "(seed) => [easel.results.seed('{tab}', 'all_seeds', seed)]",
)
RANDOM_SUBSEED = Tool(
    "random_subseed",
    "Random variation",
    "dice",
    "A random variation each time (-1)",
    ("subseed",),
    "() => [-1]",
)
REUSE_SUBSEED = Tool(
    "reuse_subseed", "Reuse variation seed", "reuse",
    "Take the variation seed of the selected picture", ("subseed",),
    "(seed) => [easel.results.seed('{tab}', 'all_subseeds', seed)]",
)  # fmt: skip

MAIN: Final[tuple[Row, ...]] = (
    ("sampler_name", "scheduler"),
    ("steps", "cfg_scale"),
    ("width", SWAP, "height"),
    ("n_iter", "batch_size"),
    ("seed", RANDOM_SEED, REUSE_SEED),
)
VARIATION: Final[tuple[Row, ...]] = (
    ("subseed", RANDOM_SUBSEED, REUSE_SUBSEED, "subseed_strength"),
    ("seed_resize_from_w", "seed_resize_from_h"),
)
HIRES: Final[tuple[Row, ...]] = (
    ("hr_upscaler", "hr_second_pass_steps"),
    ("denoising_strength", "hr_scale"),
    ("hr_resize_x", "hr_resize_y"),
    ("hr_sampler_name", "hr_scheduler"),
    ("hr_prompt", "hr_negative_prompt"),
)


class Txt2ImgTab:
    """The tab's components and events; one per page."""

    def __init__(self, app: App) -> None:
        self.form = Form(Txt2ImgParams, TAB, app.styles)
        self._app = app
        self.layout = Layout(self.form)
        self.styles = StyleEditor(app, self.form)
        self._results = Results(app, TAB, "outdir_txt2img_samples")

    def build(self, page_state: gr.Textbox) -> None:
        """Make the tab in gradio's current layout block.

        page_state: JSON that the scripts follow; the native size of the model is in it.
        """
        with gr.Row(elem_id=f"{TAB}_layout", elem_classes=["easel-layout"]):
            with gr.Column(elem_classes=["easel-left"]):
                with gr.Column(elem_id=f"{TAB}_prompt_container", elem_classes=["easel-prompts"]):
                    self._build_prompts()
                with gr.Column(elem_id=f"{TAB}_settings", elem_classes=["easel-controls"]):
                    self._build_controls()
            with gr.Column(elem_classes=["easel-right"]):
                with gr.Column(elem_id=f"{TAB}_actions_column", elem_classes=["easel-actions"]):
                    self._build_actions()
                with gr.Column(elem_id=f"{TAB}_results", elem_classes=["easel-results"]):
                    self._results.build()
        self.styles.build_dialog()
        self._wire(page_state)

    def _build_prompts(self) -> None:
        for name, counter in (
            ("prompt", "token_counter"),
            ("negative_prompt", "negative_token_counter"),
        ):
            with gr.Column(elem_classes=["easel-prompt"]):
                self.form.field(name)
                gr.HTML("", elem_id=f"{TAB}_{counter}", elem_classes=["easel-counter"])

    def _build_actions(self) -> None:
        with gr.Row(elem_id=f"{TAB}_generate_box", elem_classes=["easel-generate"]):
            self._generate = gr.Button(
                "Generate", variant="primary", elem_id=f"{TAB}_generate", scale=3
            )
            self._interrupt = gr.Button("Interrupt", elem_id=f"{TAB}_interrupt")
            self._interrupting = gr.Button("Interrupting…", elem_id=f"{TAB}_interrupting")
            self._skip = gr.Button("Skip", elem_id=f"{TAB}_skip")
        gr.HTML('<div role="alert"></div>', elem_id=f"{TAB}_error", elem_classes=["easel-error"])
        with gr.Row(elem_id=f"{TAB}_tools", elem_classes=["easel-tools"]):
            self._paste = gr.Button("Read parameters", elem_id="paste", size="sm")
            self._clear = gr.Button("Clear", elem_id=f"{TAB}_clear_prompt", size="sm")
            self.styles.build_menu()

    def _build_controls(self) -> None:
        self.layout.rows(MAIN)
        with gr.Accordion(
            "Variation", open=False, elem_id=f"{TAB}_seed_extras", elem_classes=["easel-fold"]
        ):
            self.layout.rows(VARIATION)
        with gr.Column(elem_id=f"{TAB}_hr_box", elem_classes=["easel-switch-fold"]):
            self.form.field("enable_hr")
            with gr.Accordion(
                "Hires. fix", open=False, elem_id=f"{TAB}_hr", elem_classes=["easel-fold"]
            ):
                self.layout.rows(HIRES)
        self._overrides = gr.Dropdown(
            [],
            value=[],
            label="Override settings",
            multiselect=True,
            allow_custom_value=True,
            visible="hidden",
            elem_id=f"{TAB}_override_settings",
        )

    def _wire(self, page_state: gr.Textbox) -> None:
        self.layout.wire()
        self._wire_generate()
        fields = list(self.form.fields.values())
        prompts = [self.form.fields["prompt"], self.form.fields["negative_prompt"]]
        paste = Paste(self._app, self.form, self._overrides)
        self._paste.click(
            paste.read, inputs=[prompts[0]], outputs=paste.outputs, preprocess=False, **TELLING
        )
        self._clear.click(
            inputs=prompts, outputs=prompts, js="(a, b) => easel.form.clear(a, b)", **BROWSER
        )
        gr.on(
            [field.change for field in fields],
            inputs=fields,
            js=f"(...values) => easel.form.remember('{TAB}', values)",
            **BROWSER,
        )
        size = [self.form.fields["width"], self.form.fields["height"]]
        page_state.change(
            inputs=[page_state, *size],
            outputs=size,
            js=f"(state, w, h) => easel.form.follow('{TAB}', state, w, h)",
            **BROWSER,
        )

    def _wire_generate(self) -> None:
        submission = Submission(self._app, self.form, self._overrides)
        reply = gr.Textbox(visible="hidden", elem_id=f"{TAB}_reply")
        job = gr.Textbox(visible="hidden", elem_id=f"{TAB}_job")
        self._generate.click(
            submission.submit,
            inputs={*self.form.fields.values(), self._overrides},
            outputs=[reply],
            preprocess=False,
            trigger_mode="multiple",
            **QUIET,
        ).then(inputs=[reply], js=f"(reply) => easel.jobs.submitted('{TAB}', reply)", **BROWSER)
        followed = "() => [easel.jobs.followed()]"
        for button, call in (
            (self._interrupt, submission.interrupt),
            (self._interrupting, submission.interrupt),
            (self._skip, submission.skip),
        ):
            button.click(call, inputs=[job], outputs=[reply], js=followed, **QUIET).then(
                inputs=[reply], js="(reply) => easel.jobs.stopping(reply)", **BROWSER
            )

    def recall(self, page: gr.Blocks, page_state: gr.Textbox) -> None:
        """Bring back what was typed, when the page loads."""
        fields = list(self.form.fields.values())
        page.load(
            inputs=[page_state, *fields],
            outputs=fields,
            js=f"(...values) => easel.form.recall('{TAB}', values)",
            **BROWSER,
        )
